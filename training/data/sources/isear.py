"""ISEAR: situations in which people felt one of seven emotions (Scherer and Wallbott 1994)."""

from __future__ import annotations

import re
from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import LabelSet
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import WHOLE, RawCorpus, RawSplit

FILE = "isear.csv"
COLUMNS = 42
COLUMNS_BEFORE_TEXT = 40
LABEL_COLUMN, TEXT_COLUMN = "Field1", "SIT"
LABELS = {
    "joy": "joy", "fear": "fear", "anger": "anger", "sadness": "sadness", "disgust": "disgust",
    "shame": "embarrassment", "guilt": "remorse",
}  # fmt: skip
"""The corpus's name -> ours."""
LICENCE = "research use (Scherer and Wallbott 1994, ISEAR databank); check the terms of your copy"
HOW = "Get isear.csv of the ISEAR databank (Swiss Center for Affective Sciences); give it, or its folder, as data.path."
LINE_BREAK = " á "
_NO_RESPONSE = re.compile(r"\W*no\s+response\W*|\s*[\[(]\s*no\s+response\b.*", re.IGNORECASE)


def read_isear(source: SourceConfig) -> RawCorpus:
    """Read `isear.csv`; texts such as "[No response.]" are refused and counted.

    Raises:
        DataNotFoundError: when the file is missing.
        DataFormatError: for another header, too few fields, or an unknown emotion.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=isear needs data.path.", hint=HOW)
    path = Path(source.path)
    path = existing(path / FILE if path.is_dir() else path, "ISEAR", HOW)
    lines = read_lines(path)
    header = lines[0].split("|")[:-1]
    if len(header) != COLUMNS or header[COLUMNS_BEFORE_TEXT] != TEXT_COLUMN or LABEL_COLUMN not in header:
        raise DataFormatError(
            f"{path} has {len(header)} columns; expected {COLUMNS} separated by '|', {LABEL_COLUMN} among them and "
            f"{TEXT_COLUMN} as number {COLUMNS_BEFORE_TEXT + 1}."
        )
    label_at = header.index(LABEL_COLUMN)
    rows = [_parse(path, number, line, label_at) for number, line in enumerate(lines[1:], 2)]
    kept = [(number, label, text) for number, label, text in rows if not _NO_RESPONSE.fullmatch(text)]
    labels = LabelSet(tuple(LABELS.values()))
    split = RawSplit(
        [text for _, _, text in kept], labels.multi_hot([[LABELS[label]] for _, label, _ in kept]),
        [f"{path.stem}:{number}" for number, _, _ in kept],
    )  # fmt: skip
    return RawCorpus(
        "isear", str(path.absolute()), labels.names, {WHOLE: split}, LICENCE,
        refused={"texts that say 'No response'": len(rows) - len(kept)},
        notes=("shame is embarrassment, guilt is remorse",),
    )  # fmt: skip


def _parse(path: Path, number: int, line: str, label_at: int) -> tuple[int, str, str]:
    """Line number, label and text; the text may hold `|` itself, so fields are counted from both ends."""
    before = line.split("|", COLUMNS_BEFORE_TEXT)
    ends = before[-1].rsplit("|", 2)
    if len(before) <= COLUMNS_BEFORE_TEXT or len(ends) != 3:
        raise DataFormatError(f"{path}, line {number}: {line.count('|')} separators '|', expected at least {COLUMNS}.")
    label = before[label_at].strip()
    if label not in LABELS:
        raise DataFormatError(
            f"{path}, line {number}: unknown emotion '{label}'.", hint=f"Allowed: {', '.join(LABELS)}."
        )
    return number, label, ends[0].replace(LINE_BREAK, " ").strip()
