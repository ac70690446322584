"""Corpora in many languages: BRIGHTER (SemEval-2025 task 11) and XED (Öhman et al., COLING 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shared.errors import DataFormatError, DataNotFoundError, InvalidInputError
from shared.intensity import Scale
from shared.labels import LabelSet
from shared.languages import language_code
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit
from training.data.sources.tabular import Table, read_table

BRIGHTER_LABELS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
BRIGHTER_LICENCE = "CC BY 4.0 (Muhammad et al., ACL 2025); texts keep their own terms"
BRIGHTER_HOW = "`emotion data get brighter` says how to get it; give its folder (or that of one track) as data.path."
ALL = "all"
TRACKS = ("track_a", "track_b", "track_c")
GRADES = Scale(0.0, 3.0, 1.0)
"""Of track B: none, low, moderate and high."""
XED_LABELS = ("anger", "anticipation", "disgust", "fear", "joy", "sadness", "surprise", "trust")
"""Of the ids 1 to 8."""
XED_LICENCE = "CC BY 4.0 (Öhman et al., COLING 2020); subtitles from OPUS"
XED_HOW = "`emotion data get xed` brings it; give the folder with en-annotated.tsv, or the file, as data.path."


def read_brighter(source: SourceConfig) -> RawCorpus:
    """Read `{train,dev,test}/<language>.csv` of one track: 0/1 columns, or intensities 0..3 in track B.

    Several languages are one corpus; a label that one of them lacks is unknown in its rows.

    Raises:
        DataNotFoundError: when the folder or the language is missing.
        DataFormatError: when the language is not named and there are several, or a cell is not 0..3.
    """
    return _read_brighter(source, TRACKS)


def read_brighter_intensities(source: SourceConfig) -> RawCorpus:
    """Read track B of BRIGHTER, `{train,dev,test}/<language>.csv`, with intensities 0..3; others as `read_brighter`."""
    corpus = _read_brighter(source, TRACKS[1:2], scale=GRADES)
    if not any((split.targets > GRADES.shares(1.5)).any() for split in corpus.splits.values()):
        raise DataFormatError(
            f"{corpus.origin} has no intensity above 1: it is not track B.", hint="Give the folder of track B."
        )
    return corpus


def _read_brighter(source: SourceConfig, tracks_read: Sequence[str], *, scale: Scale | None = None) -> RawCorpus:
    """The languages asked for of the first of these tracks that is there, or of the folder itself."""
    if source.path is None:
        raise DataNotFoundError("data.source=brighter needs data.path.", hint=BRIGHTER_HOW)
    folder = existing(Path(source.path), "BRIGHTER", BRIGHTER_HOW)
    notes = []
    tracks = [track for track in tracks_read if (folder / track).is_dir()]
    if tracks:
        folder = folder / tracks[0]
        notes.append(f"read is {tracks[0]}; give the folder of another track as data.path for that one")
    found = {split: sorted((folder / split).glob("*.csv")) for split in (TRAIN, DEV, TEST)}
    languages = sorted({file.stem for files in found.values() for file in files})
    if not languages:
        raise DataNotFoundError(
            f"no BRIGHTER in {folder.absolute()}: looked for CSV files in train, dev, test.",
            hint=BRIGHTER_HOW,
        )
    corpora = []
    for language in _chosen(folder, languages, source.language):
        files = {split: file for split, all_files in found.items() for file in all_files if file.stem == language}
        tables = {split: read_table(file, source) for split, file in files.items()}
        missing = {split: f"no {split}/{language}.csv in {folder.absolute()}" for split in found if split not in files}
        raw = _brighter(folder, tables, source, missing, [f"language {language}"], scale=scale)
        corpora.append(_of_language(raw, language))
    joined = _joined(corpora)
    return replace(joined, notes=(*joined.notes, *notes))


def _chosen(folder: Path, languages: list[str], said: str | None) -> list[str]:
    """Names of the files to read, of all that there are."""
    if said == ALL or (said is None and len(languages) == 1):
        return languages
    chosen = [] if said is None else [name.strip() for name in said.split(",")]
    absent = [name for name in chosen if name not in languages]
    if chosen and not absent:
        return list(dict.fromkeys(chosen))
    problem = f"has no language '{absent[0]}'" if absent else "holds several languages"
    raise DataFormatError(
        f"{folder.absolute()} {problem}.",
        hint=f"Name one with data.language: {', '.join(languages)} (several with commas between them, or all).",
    )


def _of_language(raw: RawCorpus, language: str) -> RawCorpus:
    code = language_code(language)
    return replace(raw, splits={n: replace(s, languages=[code] * len(s)) for n, s in raw.splits.items()})


def _joined(corpora: Sequence[RawCorpus]) -> RawCorpus:
    """Corpora of the same kind as one, their rows named by language."""
    if len(corpora) == 1:
        return corpora[0]
    labels = tuple(dict.fromkeys(name for raw in corpora for name in raw.labels))
    splits = {}
    for name in (TRAIN, DEV, TEST):
        parts = [(raw, raw.splits[name]) for raw in corpora if name in raw.splits]
        if not parts:
            continue
        targets = np.zeros((sum(len(split) for _, split in parts), len(labels)), dtype=np.float32)
        known = np.zeros(targets.shape, dtype=np.bool_)
        start = 0
        for raw, split in parts:
            rows, columns = slice(start, start + len(split)), [labels.index(label) for label in raw.labels]
            targets[rows, columns] = split.targets
            known[rows, columns] = True if split.known is None else split.known
            start += len(split)
        languages = [code for _, split in parts for code in split.languages or ()]
        ids = [f"{code}:{row}" for code, row in zip(languages, (i for _, s in parts for i in s.ids), strict=True)]
        texts = [text for _, split in parts for text in split.texts]
        splits[name] = RawSplit(texts, targets, ids, known=known, languages=languages)
    missing: dict[str, str] = {}
    for raw in corpora:
        missing |= {name: why for name, why in raw.missing.items() if name not in splits}
    notes = (*dict.fromkeys(note for raw in corpora for note in raw.notes),)
    return replace(corpora[0], labels=labels, splits=splits, missing=missing, notes=notes)


def _brighter(
    folder: Path, tables: Mapping[str, Table], source: SourceConfig, missing: dict[str, str], notes: list[str],
    *, scale: Scale | None = None,
) -> RawCorpus:  # fmt: skip
    lower = {split: {name.strip().lower(): name for name in table.columns} for split, table in tables.items()}
    labels = tuple(name for name in BRIGHTER_LABELS if any(name in columns for columns in lower.values()))
    splits, graded = {}, False
    for split, table in tables.items():
        columns = lower[split]
        if "text" not in columns or not labels:
            raise DataFormatError(
                f"{table.path} has the columns {', '.join(table.columns)}; expected text and emotions."
            )
        values = np.stack([_grades(table, columns.get(name)) for name in labels], axis=1)
        known = ~np.isnan(values)
        if not known.any():
            missing[split] = f"{table.path.name} of {split} holds no labels"
            continue
        filled = np.nan_to_num(values)
        if scale is None:
            graded = graded or bool((values[known] > 1).any())
            targets = (filled >= (source.positive_from or 1)).astype(np.float32)
        else:
            targets = np.where(known, scale.shares(filled), 0.0).astype(np.float32)
        ids = [str(name) for name in table.columns[columns["id"]]] if "id" in columns else None
        splits[split] = RawSplit(
            [None if text is None else str(text) for text in table.columns[columns["text"]]], targets,
            ids or [f"{split}:{row}" for row in range(1, len(table) + 1)], known=known,
        )  # fmt: skip
    if graded:
        notes.append(f"intensities 0..3 are a yes from {source.positive_from or 1:g} on (data.positive_from)")
    return RawCorpus(
        "brighter",
        str(folder.absolute()),
        labels,
        splits,
        BRIGHTER_LICENCE,
        missing=missing,
        notes=tuple(notes),
        scale=scale,
    )


def _grades(table: Table, column: str | None) -> np.ndarray:
    """Values 0..3 of a column, shape (N,); NaN for an empty cell, or where the language lacks the column."""
    if column is None:
        return np.full(len(table), np.nan)
    grades = np.full(len(table), np.nan)
    for row, value in enumerate(table.columns[column]):
        word = "" if value is None else str(value).strip().removesuffix(".0")
        if word not in ("", "0", "1", "2", "3"):
            raise DataFormatError(f"{table.path}, column '{column}', row {row + 1}: {value!r}; allowed: 0 to 3.")
        if word:
            grades[row] = float(word)
    return grades


def read_xed(source: SourceConfig) -> RawCorpus:
    """Read `<language>-annotated.tsv` or `-projections.tsv` (`text<TAB>1, 4, 7`) and, where it is there, `neu_*.txt`.

    Raises:
        DataNotFoundError: when nothing is there.
        DataFormatError: for a line without two fields, or an id outside 1..8.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=xed needs data.path.", hint=XED_HOW)
    path = existing(Path(source.path), "XED", XED_HOW)
    language = source.language or "en"
    if path.is_dir():
        names = [f"{language}-annotated.tsv", f"{language}-projections.tsv"]
        folders = (path, path / "AnnotatedData", path / "Projections")
        candidates = [folder / name for folder in folders for name in names]
        found = next((file for file in candidates if file.is_file()), None)
        if found is None:
            raise DataNotFoundError(f"no XED in {path.absolute()}: looked for {' and '.join(names)}.", hint=XED_HOW)
        path = found
    neutral = path.parent / f"neu_{language}.txt"
    labels = LabelSet((*XED_LABELS, "neutral") if neutral.is_file() else XED_LABELS)
    rows = [_xed_row(path, number, line) for number, line in enumerate(read_lines(path), 1)]
    if neutral.is_file():
        for number, line in enumerate(read_lines(neutral), 1):
            mark, tab, text = line.partition("\t")
            if mark.strip() != "9" or not tab:
                raise DataFormatError(f"{neutral}, line {number}: expected `9<TAB>text`.")
            rows.append((text, [len(XED_LABELS)], f"{neutral.stem}:{number}"))
    split = RawSplit(
        [text for text, _, _ in rows], labels.multi_hot([ids for _, ids, _ in rows]), [n for *_, n in rows]
    )
    note = "neutral rows from " + neutral.name if neutral.is_file() else f"no {neutral.name}: there is no neutral label"
    return RawCorpus(
        "xed",
        str(path.absolute()),
        labels.names,
        {WHOLE: split},
        XED_LICENCE,
        notes=(note,),
        language=_xed_language(path),
    )


def _xed_language(path: Path) -> str | None:
    """The language that the name of a file says, as `fi-projections.tsv` does."""
    try:
        return language_code(path.stem.split("-")[0])
    except InvalidInputError:
        return None


def _xed_row(path: Path, number: int, line: str) -> tuple[str, list[int], str]:
    text, tab, cell = line.rpartition("\t")
    ids = [part.strip() for part in cell.split(",")]
    if not tab or not all(part in map(str, range(1, len(XED_LABELS) + 1)) for part in ids):
        raise DataFormatError(f"{path}, line {number}: expected text, a tab, and ids in 1..8 with commas between them.")
    return text, [int(part) - 1 for part in ids], f"{path.stem}:{number}"
