"""Tweets with the intensity of one emotion each: EmoInt (WASSA-2017) and SemEval-2018 Task 1, EI-reg and EI-oc.

There is a file for each emotion, and the other emotions of its tweets are unknown; a tweet in several files is one row
of training with several known entries. Sources: Mohammad & Bravo-Marquez, WASSA 2017; Mohammad et al., SemEval 2018.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.errors import ConfigError, DataFormatError, DataNotFoundError, InvalidInputError
from shared.intensity import Scale
from shared.languages import language_code
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, RawCorpus, RawSplit

UNIT = Scale(0.0, 1.0)
CLASSES = Scale(0.0, 3.0, 1.0)
NO_GOLD = "NONE"
"""What stands for the intensity in files whose gold is hidden."""

EMOINT_LICENCE = "research only; the tweets may not be redistributed (Mohammad & Bravo-Marquez, WASSA 2017)"
EMOINT_HOW = (
    "Give the folder with anger-ratings-0to1.train.txt and its like as data.path "
    "(http://saifmohammad.com/WebPages/EmotionIntensity-SharedTask.html)."
)
EMOINT_FILE = re.compile(r"(?P<label>[a-z]+)-ratings-0to1\.(?P<split>train|dev|test)(?P<gold>\.gold|\.target)?\.txt")

EI_LICENCE = "research only; the tweets may not be redistributed (Mohammad et al., SemEval-2018 Task 1)"
EI_HOW = (
    "Give the folder of EI-reg or of EI-oc as data.path, with files such as EI-reg-En-anger-train.txt "
    "(https://competitions.codalab.org/competitions/17751)."
)
EI_FILE = re.compile(
    r"(?:2018-)?EI-(?P<kind>reg|oc)-(?P<language>En|Ar|Es)-(?P<label>[a-z]+)-(?P<split>train|dev|test)(?P<gold>-gold)?"
    r"\.txt"
)
EI_HEADER = ["ID", "Tweet", "Affect Dimension"]
EI_COLUMN = {"reg": "Intensity Score", "oc": "Intensity Class"}
EI_CLASS = re.compile(r"([0-3])(?::.*)?")

Value = Callable[[str], float | None]


@dataclass(frozen=True)
class _File:
    """A file of one emotion and split."""

    path: Path
    label: str
    split: str
    gold: bool


def read_emoint(source: SourceConfig) -> RawCorpus:
    """Read `<emotion>-ratings-0to1.<split>[.gold].txt`, without header: id, tweet, emotion, intensity 0..1.

    Raises:
        DataNotFoundError: when the folder, or all of its files, are missing.
        DataFormatError: for another number of fields, or an intensity outside 0..1.
    """
    folder = _folder(source, "emoint", "EmoInt", EMOINT_HOW)
    files = [
        _File(path, match["label"], match["split"], match["gold"] == ".gold")
        for path, match in _matching(folder, EMOINT_FILE)
    ]
    if not files:
        raise DataNotFoundError(f"no EmoInt in {folder.absolute()}.", hint=EMOINT_HOW)
    splits, labels, missing = _read(files, folder, header=None, value=_unit_value)
    return RawCorpus("emoint", str(folder.absolute()), labels, splits, EMOINT_LICENCE, missing=missing, scale=UNIT)


def read_semeval_ei(source: SourceConfig) -> RawCorpus:
    """Read `[2018-]EI-{reg,oc}-<language>-<emotion>-<split>[-gold].txt` of one subtask and language.

    Raises:
        DataNotFoundError: when the folder, or all of its files, are missing.
        DataFormatError: when both subtasks or several languages are there, for another header or number of fields, or
            for a value that is no intensity.
    """
    folder = _folder(source, "semeval2018_ei", "SemEval-2018 EI", EI_HOW)
    found = list(_matching(folder, EI_FILE))
    if not found:
        raise DataNotFoundError(f"no EI-reg and no EI-oc in {folder.absolute()}.", hint=EI_HOW)
    if source.language:
        found = _in_language(found, source.language, folder)
    kinds, languages = ({match[name] for _, match in found} for name in ("kind", "language"))
    if len(kinds) > 1:
        raise DataFormatError(f"{folder.absolute()} holds both EI-reg and EI-oc.", hint=EI_HOW)
    if len(languages) > 1:
        raise DataFormatError(
            f"{folder.absolute()} holds several languages.",
            hint=f"Name one with data.language: {', '.join(sorted(languages))}.",
        )
    (kind,), (language,) = kinds, languages
    files = [_File(path, match["label"], match["split"], match["gold"] is not None) for path, match in found]
    header = [*EI_HEADER, EI_COLUMN[kind]]
    splits, labels, missing = _read(
        files, folder, header=header, value=_unit_value if kind == "reg" else _class_value
    )  # fmt: skip
    return RawCorpus(
        "semeval2018_ei", str(folder.absolute()), labels, splits, EI_LICENCE, missing=missing,
        language=language.lower(), scale=UNIT if kind == "reg" else CLASSES,
        notes=(f"subtask EI-{kind}, language {language}",),
    )  # fmt: skip


def _in_language(
    files: Sequence[tuple[Path, re.Match[str]]], said: str, folder: Path
) -> list[tuple[Path, re.Match[str]]]:
    try:
        code = language_code(said)
    except InvalidInputError as error:
        raise ConfigError(f"data.language: {error.message}", hint=error.hint) from None
    chosen = [(path, match) for path, match in files if match["language"].lower() == code]
    if not chosen:
        there = ", ".join(sorted({match["language"] for _, match in files}))
        raise DataFormatError(f"{folder.absolute()} has no file in the language {code}.", hint=f"There are: {there}.")
    return chosen


def _folder(source: SourceConfig, kind: str, what: str, how: str) -> Path:
    if source.path is None:
        raise DataNotFoundError(f"data.source={kind} needs data.path.", hint=how)
    return existing(Path(source.path), what, how)


def _matching(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in sorted(folder.rglob("*.txt")):
        match = pattern.fullmatch(path.name)
        if match:
            yield path, match


def _read(
    files: Sequence[_File], folder: Path, *, header: list[str] | None, value: Value
) -> tuple[dict[str, RawSplit], tuple[str, ...], dict[str, str]]:
    """Splits, the labels in alphabetical order, and why a split is missing; a file with gold comes before its twin."""
    labels = tuple(sorted({file.label for file in files}))
    splits, missing = {}, {}
    for split in (TRAIN, DEV, TEST):
        chosen: dict[str, _File] = {}
        for file in sorted((file for file in files if file.split == split), key=lambda file: file.gold):
            if file.label in chosen and chosen[file.label].gold == file.gold:
                raise DataFormatError(
                    f"two files of {file.label} are for {split}: {chosen[file.label].path} and {file.path}."
                )
            chosen[file.label] = file
        parts = {label: _rows(chosen[label], header, value) for label in labels if label in chosen}
        hidden = [label for label, rows in parts.items() if rows is None]
        if hidden and len(hidden) < len(parts):
            raise DataFormatError(
                f"the {split} files of {', '.join(hidden)} in {folder.absolute()} hold {NO_GOLD} for all intensities, "
                "and those of other emotions do not.",
                hint="Add the files with gold, or take these away.",
            )
        if not parts:
            missing[split] = f"no {split} file in {folder.absolute()}"
        elif hidden:
            missing[split] = f"the {split} files hold {NO_GOLD} for the intensities: their gold is hidden"
        else:
            splits[split] = _joined({label: rows for label, rows in parts.items() if rows is not None}, labels)
    if not splits:
        raise DataNotFoundError(f"no intensities in {folder.absolute()}: {'; '.join(missing.values())}.")
    return splits, labels, missing


Row = tuple[str, str, float]
"""Name of the row, text, share 0..1 of the scale."""


def _rows(file: _File, header: list[str] | None, value: Value) -> list[Row] | None:
    """The rows of a file; None where the gold of all of them is hidden."""
    lines = read_lines(file.path)
    if header is not None:
        if lines[0].split("\t") != header:
            raise DataFormatError(
                f"{file.path} has the header {' | '.join(lines[0].split(chr(9)))}; expected {' | '.join(header)}, "
                "separated by tabs."
            )
        lines = lines[1:]
    rows, hidden = [], 0
    for number, line in enumerate(lines, 1 if header is None else 2):
        fields = line.split("\t")
        where = f"{file.path}, line {number}"
        if len(fields) != 4:
            raise DataFormatError(f"{where}: {len(fields)} fields separated by tabs, expected 4.")
        if fields[2].strip().casefold() != file.label:
            raise DataFormatError(f"{where}: the emotion is '{fields[2]}', and the file is called {file.path.name}.")
        if fields[3].strip().startswith(NO_GOLD):
            hidden += 1
            continue
        share = value(fields[3].strip())
        if share is None:
            raise DataFormatError(f"{where}: '{fields[3]}' is no intensity of this task.")
        rows.append((f"{file.label}:{fields[0]}", fields[1], share))
    if hidden and rows:
        raise DataFormatError(f"{file.path} holds {NO_GOLD} for {hidden:,} of {hidden + len(rows):,} intensities.")
    return None if hidden else rows


def _joined(parts: Mapping[str, Sequence[Row]], labels: Sequence[str]) -> RawSplit:
    total = sum(map(len, parts.values()))
    targets, known = np.zeros((total, len(labels)), np.float32), np.zeros((total, len(labels)), np.bool_)
    texts: list[str | None] = []
    ids: list[str] = []
    for label, rows in parts.items():
        column, start = labels.index(label), len(texts)
        texts += [text for _, text, _ in rows]
        ids += [name for name, _, _ in rows]
        targets[start : len(texts), column] = [share for *_, share in rows]
        known[start : len(texts), column] = True
    return RawSplit(texts, targets, ids, known=known)


def _unit_value(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None


def _class_value(word: str) -> float | None:
    """The share of the scale of a class such as `2: moderate amount of anger can be inferred`."""
    match = EI_CLASS.fullmatch(word)
    return float(CLASSES.shares(float(match[1]))) if match else None
