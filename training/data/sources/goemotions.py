"""GoEmotions (Demszky et al., ACL 2020): the official TSV split, the raw rater CSVs, or the hub's Parquet."""

from __future__ import annotations

from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import GOEMOTIONS, LabelSet
from training.config.data import SourceConfig
from training.data.files import read_lines
from training.data.sources.base import DEV, TEST, TRAIN, RawCorpus, RawSplit
from training.data.sources.goemotions_hub import HUB_NAME, parquet_files, read_hub, read_parquet
from training.data.sources.goemotions_raw import raw_files, read_raw

LICENCE = "CC BY 4.0 (Demszky et al., ACL 2020)"
SPLITS = (TRAIN, DEV, TEST)
NEEDS_RAW = "soft_labels and temporal_split need the raw files goemotions_1.csv to goemotions_3.csv"
HOW = (
    "Download train.tsv, dev.tsv and test.tsv from https://github.com/google-research/google-research/tree/master/goemotions"
    "/data and give their folder as data.path, or leave data.path out to use the hub."
)


def read_goemotions(source: SourceConfig) -> RawCorpus:
    """Read GoEmotions from wherever `source.path` leads; without a path, or with its hub name, from the hub.

    Raises:
        DataNotFoundError: when the folder holds none of the three layouts, or the hub cannot be reached.
        DataFormatError: when a file is not in its format, or `labels.txt` disagrees with the 28 labels.
        EmptyDataError: when a file has no content.
    """
    needs_raw = source.soft_labels or source.temporal_split
    if source.path in (None, HUB_NAME):
        if needs_raw:
            raise DataNotFoundError(f"{NEEDS_RAW}, and data.path is not given.", hint=HOW)
        return read_hub(LICENCE)
    path = Path(str(source.path))
    if not path.exists():
        raise DataNotFoundError(f"GoEmotions not found: looked for {path.absolute()}.", hint=HOW)
    ratings = raw_files(path)
    if needs_raw and not ratings:
        raise DataNotFoundError(f"{NEEDS_RAW}; none is in {path.absolute()}.")
    if _has_tsv(path) and not needs_raw:
        return read_tsv_folder(path)
    if ratings:
        return read_raw(path, ratings, source, LICENCE)
    if parquet_files(path):
        return read_parquet(path, LICENCE)
    raise DataNotFoundError(
        f"{path.absolute()} holds no GoEmotions: looked for {{train,dev,test}}.tsv, goemotions_*.csv and *.parquet.",
        hint=HOW,
    )


def _has_tsv(path: Path) -> bool:
    return path.is_dir() and any((path / f"{name}.tsv").is_file() for name in SPLITS)


def read_tsv_folder(folder: Path) -> RawCorpus:
    """Read the official split; a file that is not there is remembered as a missing split."""
    check_label_file(folder)
    labels = LabelSet(GOEMOTIONS)
    there = [name for name in SPLITS if (folder / f"{name}.tsv").is_file()]
    splits = {name: _read_tsv(folder / f"{name}.tsv", labels) for name in there}
    missing = {name: f"{name}.tsv is not in {folder.absolute()}" for name in SPLITS if name not in there}
    return RawCorpus("goemotions", str(folder.absolute()), labels.names, splits, LICENCE, missing=missing)


def check_label_file(folder: Path) -> None:
    """Refuse a folder whose `labels.txt` or `emotions.txt` names other labels than the 28, or in another order.

    Raises:
        DataFormatError: names the first line that differs.
    """
    for name in ("labels.txt", "emotions.txt"):
        path = folder / name
        if not path.is_file():
            continue
        found = [line.strip() for line in read_lines(path)]
        if tuple(found) == GOEMOTIONS:
            continue
        pairs = zip([*found, "(nothing)"], [*GOEMOTIONS, "(nothing)"], strict=False)
        number, (got, expected) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
        raise DataFormatError(
            f"{path} disagrees with the 28 GoEmotions labels: it has {len(found)} labels, and line {number} is '{got}' "
            f"where '{expected}' is expected.",
            hint="Ids in the TSV files count from 0 in that order; for labels of your own use data.source=table.",
        )


def _read_tsv(path: Path, labels: LabelSet) -> RawSplit:
    """Text, comma-separated label ids and comment id, separated by tabs; quotes are plain characters."""
    texts: list[str | None] = []
    rows: list[list[int]] = []
    ids: list[str] = []
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataFormatError(
                f"{path}, line {number}: {len(fields)} fields separated by tabs; expected text, label ids, comment id."
            )
        texts.append(fields[0])
        rows.append(parse_ids(fields[1], f"{path}, line {number}", len(labels)))
        ids.append(fields[2])
    return RawSplit(texts, labels.multi_hot(rows), ids)


def parse_ids(cell: str, where: str, count: int) -> list[int]:
    """Label ids of one cell such as `3,17`.

    Raises:
        DataFormatError: when a part is not a whole number in 0..count-1.
    """
    ids = [int(part) if part.strip().isdecimal() else -1 for part in cell.split(",")]
    if not all(0 <= label < count for label in ids):
        raise DataFormatError(
            f"{where}: label ids '{cell}' are not allowed; expected numbers in 0..{count - 1}, separated by commas."
        )
    return ids
