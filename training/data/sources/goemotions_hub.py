"""GoEmotions as Parquet: the layout of the hub, in a folder or from the hub itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.cli import is_terminal
from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import GOEMOTIONS, LabelSet
from training.data.sources.base import DEV, TEST, TRAIN, RawCorpus, RawSplit

HUB_NAME = "google-research-datasets/go_emotions"
CONFIGURATION = "simplified"
SPLIT_NAMES = {TRAIN: (TRAIN,), DEV: ("validation", DEV, "valid"), TEST: (TEST,)}
COLUMNS = ("text", "labels", "id")


def parquet_files(path: Path) -> dict[str, list[Path]]:
    """Parquet files of each split under `path`: `train-00000-of-00001.parquet`, `validation.parquet` and the like."""
    if not path.is_dir():
        return {}
    files = sorted(p for p in path.rglob("*.parquet") if "raw" not in p.relative_to(path).parts)
    found = {
        split: [p for p in files if p.name.startswith(names) or p.parent.name in names]
        for split, names in SPLIT_NAMES.items()
    }
    return {split: paths for split, paths in found.items() if paths}


def read_parquet(path: Path, licence: str) -> RawCorpus:
    """Read a folder in the hub's layout.

    Raises:
        DataFormatError: when a file is not Parquet, lacks a column, or holds an id outside 0..27.
    """
    files = parquet_files(path)
    splits = {split: _load(paths) for split, paths in files.items()}
    missing = {s: f"{path.absolute()} has no {s}*.parquet" for s in SPLIT_NAMES if s not in splits}
    return RawCorpus("goemotions", str(path.absolute()), GOEMOTIONS, splits, licence, missing=missing)


def _load(paths: Sequence[Path]) -> RawSplit:
    where = ", ".join(str(path) for path in paths)
    try:
        columns = pa.concat_tables([pq.read_table(path) for path in paths]).to_pydict()
    except pa.ArrowException as error:
        raise DataFormatError(f"{where} is not readable as Parquet: {error}.") from error
    return _rows(columns, where)


def read_hub(licence: str) -> RawCorpus:
    """Read the configuration `simplified` from the hub, or from the hub's cache on this machine.

    Raises:
        DataNotFoundError: when the hub cannot be reached and nothing is in the cache.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415  slow to import, and needed for the hub alone
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # noqa: PLC0415

    if not is_terminal():
        disable_progress_bars()
    try:
        folder = snapshot_download(HUB_NAME, repo_type="dataset", allow_patterns=f"{CONFIGURATION}/*.parquet")
    except Exception as error:  # the library raises many kinds for an unreachable hub
        raise DataNotFoundError(
            f"GoEmotions was looked for on the hub as {HUB_NAME}, and could not be had ({type(error).__name__}).",
            hint="Give data.path a folder with train.tsv and dev.tsv or with the hub's Parquet files; "
            "offline, data.source=sample needs no download.",
        ) from error
    return replace(read_parquet(Path(folder) / CONFIGURATION, licence), origin=HUB_NAME)


def _rows(columns: dict[str, list[Any]], where: str) -> RawSplit:
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise DataFormatError(f"{where} lacks the columns {', '.join(lacking)}; it has {', '.join(columns)}.")
    labels = LabelSet(GOEMOTIONS)
    for row, ids in enumerate(columns["labels"]):
        if ids is None or not all(isinstance(label, int) and 0 <= label < len(labels) for label in ids):
            raise DataFormatError(f"{where}, row {row}: labels {ids} are not a list of ids in 0..{len(labels) - 1}.")
    return RawSplit(columns["text"], labels.multi_hot(columns["labels"]), [str(name) for name in columns["id"]])
