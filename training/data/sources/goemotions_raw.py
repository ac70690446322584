"""The raw release of GoEmotions: one row per rater, brought together per comment."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.errors import DataFormatError
from shared.labels import GOEMOTIONS
from training.config.data import SourceConfig
from training.data.files import read_text
from training.data.sources.base import WHOLE, RawCorpus, RawSplit

HEADER = ("text", "id", *GOEMOTIONS)
TIME = "created_utc"
"""Seconds since 1970: needed to split by time, and for nothing else."""
RATERS_FOR_A_LABEL = 2
"""A label stands when two raters or more gave it (Demszky et al. 2020, section 3)."""


def raw_files(path: Path) -> list[Path]:
    """The rater files at `path`: the file itself, or `goemotions_*.csv` in the folder."""
    if path.is_dir():
        return sorted(path.glob("goemotions_*.csv"))
    return [path] if path.suffix == ".csv" else []


def read_raw(path: Path, files: Sequence[Path], source: SourceConfig, licence: str) -> RawCorpus:
    """Aggregate the raters of each comment: shares as soft labels, or labels of two raters or more.

    Comments left without any label are refused and counted, as in the official split.

    Raises:
        DataFormatError: when a column is missing or a cell is not a number.
    """
    votes: dict[str, np.ndarray] = {}
    raters: dict[str, int] = {}
    texts: dict[str, str] = {}
    created: dict[str, float] = {}
    for file in files:
        for comment, text, time_s, given in _read_raters(file, needs_time=source.temporal_split):
            texts.setdefault(comment, text)
            created.setdefault(comment, time_s)
            votes[comment] = votes[comment] + given if comment in votes else given
            raters[comment] = raters.get(comment, 0) + 1
    ids = list(votes)
    counts = np.stack([votes[comment] for comment in ids]) if ids else np.zeros((0, len(GOEMOTIONS)))
    shares = counts / np.array([raters[comment] for comment in ids])[:, None]
    targets = (shares if source.soft_labels else counts >= RATERS_FOR_A_LABEL).astype(np.float32)
    kept = np.flatnonzero(targets.any(axis=1))
    names = [ids[row] for row in kept]
    split = RawSplit(
        [texts[name] for name in names],
        targets[kept],
        names,
        created_s=np.array([created[name] for name in names], dtype=np.float64),
    )
    rule = "shares of raters" if source.soft_labels else f"labels of {RATERS_FOR_A_LABEL} raters or more"
    return RawCorpus(
        "goemotions", str(path.absolute()), GOEMOTIONS, {WHOLE: split}, licence,
        refused={"comments without a label": len(ids) - len(kept)},
        notes=(f"{sum(raters.values())} ratings of {len(ids)} comments; targets are {rule}",),
    )  # fmt: skip


def _read_raters(path: Path, *, needs_time: bool) -> list[tuple[str, str, float, np.ndarray]]:
    """Rows of one file as (comment id, text, seconds, 0/1 of shape (28,))."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    header = next(reader)
    lacking = [name for name in (*HEADER, *([TIME] if needs_time else ())) if name not in header]
    if lacking:
        raise DataFormatError(f"{path} lacks the columns {', '.join(lacking)}; it has {', '.join(header)}.")
    text, comment = header.index("text"), header.index("id")
    time = header.index(TIME) if TIME in header else None
    columns = [header.index(name) for name in GOEMOTIONS]
    rows = []
    for row in reader:
        try:
            given = np.array([float(row[column]) for column in columns], dtype=np.float64)
            created = 0.0 if time is None or not (needs_time or row[time].strip()) else float(row[time])
            rows.append((row[comment], row[text], created, given))
        except (IndexError, ValueError) as error:
            raise DataFormatError(f"{path}, line {reader.line_num}: not a row of ratings ({error}).") from None
    return rows
