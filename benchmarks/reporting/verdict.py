"""A promise after a run: the number promised, the number measured, and whether it was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measure.summary import Summary
from benchmarks.reporting.table import markdown_table, number


@dataclass(frozen=True)
class Verdict:
    """One promise after a run.

    Attributes:
        promise: in words.
        where: the cell or cells it speaks of.
        bound: the number promised.
        measured: the number of this run, None where it was not measured.
        spread: quartiles around it, where it is a ratio of times.
        at_most: whether the bound is an upper one.
    """

    promise: str
    where: str
    bound: float
    measured: float | None
    spread: Summary | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was kept; None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"met": self.met}


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """All promises in Markdown."""
    rows = []
    for verdict in verdicts:
        spread = f" ({number(verdict.spread.low)}-{number(verdict.spread.high)})" if verdict.spread else ""
        bound = f"{'at most' if verdict.at_most else 'at least'} {verdict.bound:g}"
        met = {True: "yes", False: "**no**", None: "not measured"}[verdict.met]
        rows.append([verdict.promise, verdict.where, bound, number(verdict.measured) + spread, met])
    return markdown_table(["promise", "where", "bound", "measured", "met"], rows)
