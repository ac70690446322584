"""MELD: utterances from a television series, each with one of seven emotions (Poria et al., ACL 2019)."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import LabelSet
from training.config.data import SourceConfig
from training.data.files import existing, read_text
from training.data.sources.base import DEV, TEST, TRAIN, RawCorpus, RawSplit
from training.data.sources.turns import previous_turns

FILES = {TRAIN: "train_sent_emo.csv", DEV: "dev_sent_emo.csv", TEST: "test_sent_emo.csv"}
LABELS = LabelSet(("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"))
HEADER = ("Utterance", "Emotion", "Dialogue_ID", "Utterance_ID")
LICENCE = "GPL-3.0 (Poria et al., ACL 2019)"
HOW = "Get the three *_sent_emo.csv files from https://github.com/declare-lab/MELD and give their folder as data.path."
WINDOWS_MARKS = {
    code: bytes([code]).decode("cp1252", "replace")
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
"""Control characters that are Windows-1252 punctuation which was read as Latin-1 once."""


def read_meld(source: SourceConfig) -> RawCorpus:
    """Read each file as the split it is.

    Raises:
        DataNotFoundError: when the folder or all of its files are missing.
        DataFormatError: when a column is missing, an emotion is unknown or a turn has no number.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=meld needs data.path.", hint=HOW)
    folder = existing(Path(source.path), "MELD", HOW)
    splits = {split: _read(folder / name, split) for split, name in FILES.items() if (folder / name).is_file()}
    missing = {split: f"{name} is not in {folder.absolute()}" for split, name in FILES.items() if split not in splits}
    if not splits:
        raise DataNotFoundError(f"no MELD in {folder.absolute()}: looked for {', '.join(FILES.values())}.", hint=HOW)
    return RawCorpus("meld", str(folder.absolute()), LABELS.names, splits, LICENCE, missing=missing)


def _read(path: Path, split: str) -> RawSplit:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    lacking = [name for name in HEADER if name not in (reader.fieldnames or ())]
    if lacking:
        raise DataFormatError(
            f"{path} lacks the columns {', '.join(lacking)}; it has {', '.join(reader.fieldnames or ())}."
        )
    texts: list[str | None] = []
    rows, ids, dialogues, speakers, order = [], [], [], [], []
    for row in reader:
        if None in row or None in row.values():
            raise DataFormatError(f"{path}, line {reader.line_num}: the number of fields is not that of the header.")
        emotion = row["Emotion"].strip()
        if emotion not in LABELS.names:
            raise DataFormatError(
                f"{path}, line {reader.line_num}: unknown emotion '{emotion}'.",
                hint=f"Allowed: {', '.join(LABELS.names)}.",
            )
        texts.append(row["Utterance"].translate(WINDOWS_MARKS))
        rows.append([emotion])
        ids.append(f"{split}:{row['Dialogue_ID']}:{row['Utterance_ID']}")
        dialogues.append(f"{split}:{row['Dialogue_ID']}")
        speakers.append((row.get("Speaker") or "").strip().translate(WINDOWS_MARKS) or None)
        order.append(_place(row["Utterance_ID"], f"{path}, line {reader.line_num}"))
    context = previous_turns(dialogues, texts, speakers, order)
    return RawSplit(texts, LABELS.multi_hot(rows), ids, context=context, dialogues=dialogues)


def _place(value: str, where: str) -> int:
    if not value.strip().isdecimal():
        raise DataFormatError(f"{where}: Utterance_ID is '{value[:20]}'; expected the number of a turn.")
    return int(value)
