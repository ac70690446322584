"""The embedded corpus: sentences written for this project, held out by whole phrase families."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.errors import DataFormatError
from shared.labels import GOEMOTIONS, LabelSet
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, RawCorpus, RawSplit

FOLDER = Path(__file__).parent.parent / "sample"
LICENCE = "MIT, as this project; written for it, not copied"
DEV_SHARE = TEST_SHARE = 2 / 15


def read_sample(source: SourceConfig) -> RawCorpus:
    """Read `<label>.tsv` and the other `.tsv` files there, which hold a kind of text instead: negation, emoji ...

    A line has labels (comma-separated), phrase family and text, separated by tabs; there is no header.

    Raises:
        DataNotFoundError: when the folder or a label's file is missing.
        DataFormatError: for a line without three fields or an unknown label.
    """
    folder = Path(source.path) if source.path else FOLDER
    labels = LabelSet(GOEMOTIONS)
    rows: dict[str, list[tuple[str, list[str], str]]] = {TRAIN: [], DEV: [], TEST: []}
    for name in (*labels.names, *_kinds(folder, labels)):
        path = existing(
            folder / f"{name}.tsv", "the embedded corpus", "Install the project again; the file is part of it."
        )
        lines = [_parse(path, number, line, labels) for number, line in enumerate(read_lines(path), 1)]
        split_of = hold_out_families(name, sorted({family for _, _, family, _ in lines}))
        for number, row_labels, family, text in lines:
            rows[split_of[family]].append((f"{name}:{number}", row_labels, text))
    splits = {
        name: RawSplit(
            [text for _, _, text in split], labels.multi_hot([n for _, n, _ in split]), [i for i, _, _ in split]
        )
        for name, split in rows.items()
    }
    return RawCorpus(
        "sample", str(folder), labels.names, splits, LICENCE, notes=("dev and test are whole phrase families",)
    )


def _kinds(folder: Path, labels: LabelSet) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.tsv") if path.stem not in labels.names)


def hold_out_families(file: str, families: list[str]) -> dict[str, str]:
    """Split of each phrase family of a file: 2 of 15 are dev, 2 of 15 test, chosen by hash, so the same everywhere."""
    order = sorted(families, key=lambda family: hashlib.sha256(f"{file}/{family}".encode()).hexdigest())
    dev, test = (max(1, round(len(order) * share)) if len(order) > 2 else 0 for share in (DEV_SHARE, TEST_SHARE))
    return {f: DEV if i < dev else TEST if i < dev + test else TRAIN for i, f in enumerate(order)}


def _parse(path: Path, number: int, line: str, labels: LabelSet) -> tuple[int, list[str], str, str]:
    fields = line.split("\t")
    if len(fields) != 3:
        raise DataFormatError(
            f"{path}, line {number}: {len(fields)} fields, expected labels, family and text, separated by tabs."
        )
    names = [name.strip() for name in fields[0].split(",")]
    for name in names:
        if name not in labels.names:
            raise DataFormatError(
                f"{path}, line {number}: unknown label '{name}'.", hint=f"Allowed: {', '.join(labels.names)}."
            )
    return number, names, fields[1].strip(), fields[2]
