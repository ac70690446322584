"""The account of what was read, dropped and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class SplitCounts:
    """Rows of one split of one source.

    Attributes:
        source: kind of the source.
        split: train, dev or test.
        read: rows in the file (after an own split: rows it was given).
        empty: dropped, null or empty text.
        duplicates: dropped, text seen before (in a held-out split: kept, so that metrics stay comparable).
        texts: different ones among the rows whose copies were counted, those of an own split's source together.
        conflicts: those of them whose copies had different labels.
        ties: dropped, texts with one label each whose copies agree on none.
        leaked: dropped from train, text is also in a held-out split; by split.
        left_out: dropped by `max_train_rows`.
        kept: rows left.
    """

    source: str
    split: str
    read: int = 0
    empty: int = 0
    duplicates: int = 0
    texts: int = 0
    conflicts: int = 0
    ties: int = 0
    leaked: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    kept: int = 0

    def line(self) -> str:
        """The counts as one line of text."""
        parts = [f"{self.source} {self.split}: {self.kept:,} rows of {self.read:,}"]
        if self.empty:
            parts.append(f"{self.empty:,} empty dropped")
        if self.duplicates:
            conflicts = f" ({self.conflicts:,} texts with differing labels)" if self.conflicts else ""
            parts.append(f"{self.duplicates:,} duplicates {'dropped' if self.split == 'train' else 'found'}{conflicts}")
        if self.ties:
            parts.append(f"{self.ties:,} texts dropped whose copies have different labels, none the most often")
        parts += [f"{count:,} dropped because they are in {split} too" for split, count in self.leaked.items() if count]
        if self.left_out:
            parts.append(f"{self.left_out:,} left out by max_train_rows")
        return "; ".join(parts)


@dataclass(frozen=True)
class SourceInfo:
    """A corpus that was used: where it was read, under which licence, what was decided while reading."""

    kind: str
    origin: str
    licence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataReport:
    """Everything that was counted on the way from files to splits."""

    sources: tuple[SourceInfo, ...]
    counts: tuple[SplitCounts, ...]
    notes: tuple[str, ...]
    support: Mapping[str, Mapping[str, int]]
    """Positive rows of every label in every split."""

    def lines(self) -> list[str]:
        """The report as lines of text."""
        lines = []
        for source in self.sources:
            lines.append(f"{source.kind}: {source.origin} [{source.licence}]")
            lines += [f"  {note}" for note in source.notes]
        lines += [count.line() for count in self.counts]
        return lines + [f"note: {note}" for note in self.notes]

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "sources": [{**asdict(source), "notes": list(source.notes)} for source in self.sources],
            "counts": [asdict(count) for count in self.counts],
            "notes": list(self.notes),
            "support": {split: dict(of_label) for split, of_label in self.support.items()},
        }
