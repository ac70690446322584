"""SemEval-2018 Task 1, subtask E-c, English: tweets with any of 11 emotions (Mohammad et al. 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.errors import DataFormatError, DataNotFoundError
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, RawCorpus, RawSplit

LABELS = ("anger", "anticipation", "disgust", "fear", "joy", "love", "optimism", "pessimism", "sadness", "surprise",
          "trust")  # fmt: skip
HEADER = ["ID", "Tweet", *LABELS]
LICENCE = "research only; the tweets may not be redistributed (Mohammad et al., SemEval-2018 Task 1)"
HOW = "Get the English E-c files (https://competitions.codalab.org/competitions/17751); give their folder as data.path."
FILES = {TRAIN: "E-c-En-train.txt", DEV: "E-c-En-dev.txt", TEST: "E-c-En-test-gold.txt"}
TEST_WITHOUT_GOLD = "E-c-En-test.txt"
NO_GOLD = "NONE"


def read_semeval(source: SourceConfig) -> RawCorpus:
    """Read `E-c-En-{train,dev,test-gold}.txt`, with or without the prefix `2018-`.

    Labels outside the model's set (anticipation, pessimism and trust for the 28) are dropped by the caller.

    Raises:
        DataNotFoundError: when the folder or all of its files are missing.
        DataFormatError: for another header, another number of fields, or values other than 0 and 1.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=semeval2018_ec needs data.path.", hint=HOW)
    folder = existing(Path(source.path), "SemEval-2018 E-c", HOW)
    found = {split: path for split, name in FILES.items() if (path := _find(folder, name))}
    missing = {split: f"{name} is not in {folder.absolute()}" for split, name in FILES.items() if split not in found}
    without_gold = _find(folder, TEST_WITHOUT_GOLD)
    if TEST in missing and without_gold:
        if _has_gold(without_gold):
            found[TEST] = without_gold
            del missing[TEST]
        else:
            missing[TEST] = f"{without_gold} holds {NO_GOLD} for its labels; the file with labels is {FILES[TEST]}"
    if not found:
        raise DataNotFoundError(f"no SemEval-2018 E-c in {folder.absolute()}: {'; '.join(missing.values())}.", hint=HOW)
    splits = {split: _read(path) for split, path in found.items()}
    return RawCorpus("semeval2018_ec", str(folder.absolute()), LABELS, splits, LICENCE, missing=missing)


def _find(folder: Path, name: str) -> Path | None:
    return next((folder / full for full in (name, f"2018-{name}") if (folder / full).is_file()), None)


def _has_gold(path: Path) -> bool:
    return not any(line.endswith(f"\t{NO_GOLD}") for line in read_lines(path))


def _read(path: Path) -> RawSplit:
    """Rows of tab-separated fields; quotes are plain characters."""
    lines = read_lines(path)
    if lines[0].split("\t") != HEADER:
        raise DataFormatError(
            f"{path} has the header {lines[0].split()}; expected {' '.join(HEADER)}, separated by tabs.",
            hint="This is subtask E-c, not EI-reg or EI-oc.",
        )
    texts: list[str | None] = []
    ids, rows = [], []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(HEADER):
            raise DataFormatError(
                f"{path}, line {number}: {len(fields)} fields separated by tabs, expected {len(HEADER)}."
            )
        wrong = sorted(set(fields[2:]) - {"0", "1"})
        if wrong:
            why = f" ({NO_GOLD} marks a file without gold labels)" if NO_GOLD in wrong else ""
            raise DataFormatError(
                f"{path}, line {number}: the labels are {', '.join(wrong)}; allowed are 0 and 1{why}."
            )
        ids.append(fields[0])
        texts.append(fields[1])
        rows.append([value == "1" for value in fields[2:]])
    return RawSplit(texts, np.array(rows, dtype=np.float32).reshape(-1, len(LABELS)), ids)
