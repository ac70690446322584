"""Which files of a folder are train, dev and test."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError
from shared.tables.options import FORMATS, named_format, unpacked

TRAIN, DEV, TEST, WHOLE = "train", "dev", "test", "all"
SPLIT_NAMES = {
    TRAIN: ("train", "training", "trn"),
    DEV: ("dev", "validation", "valid", "val", "development"),
    TEST: ("test", "testing", "tst"),
}
_WORDS = re.compile(r"[^\W_]+")
_NOT_TABLES = frozenset(
    {
        "labels.txt", "readme.txt", "license.txt", "licence.txt", "mapping.txt", "requirements.txt",
        "dataset_info.json", "dataset_dict.json", "dataset_infos.json", "state.json", "config.json", "package.json",
    }
)  # fmt: skip
"""Files with the suffix of a table that hold something else."""
SKIPPED_FOLDERS = frozenset(("raw", "__pycache__"))


@dataclass(frozen=True)
class SplitFiles:
    """The files of every split, in the order train, dev, test; or those of `all`.

    Attributes:
        files: by split.
        notes: choices made, to be shown.
    """

    files: dict[str, list[Path]]
    notes: list[str] = field(default_factory=list)


def split_of_name(name: object) -> str | None:
    """train, dev or test, where a name is one of the usual names of a split."""
    word = str(name).strip().lower()
    return next((split for split, names in SPLIT_NAMES.items() if word in names), None)


def _split_in(name: str) -> str | None:
    """The split that one of the words of a file's or folder's name tells."""
    words = (word.rstrip("0123456789") for word in _WORDS.findall(name.lower()))
    found = {split for word in words if (split := split_of_name(word))}
    return found.pop() if len(found) == 1 else None


def find_splits(path: Path) -> SplitFiles:
    """The files of each split: by the names of files (`train.csv`, `train-00000-of-00002.parquet`) or of folders.

    A file or folder whose name is not that of a split holds all rows.

    Raises:
        DataNotFoundError: when nothing is there, or a folder holds no table.
        DataFormatError: when a folder holds several tables that may be one split.
    """
    if path.is_file():
        split = _split_in(_stem(path))
        said = split is None or split_of_name(_stem(path)) == split
        return SplitFiles(
            {split or WHOLE: [path]}, [] if said else [f"{path.name} is the {split} split, by a word of its name"]
        )
    if not path.is_dir():
        raise DataNotFoundError(f"no table at {path}: looked for {path.absolute()}.")
    files, notes = _tables(path)
    if not files:
        raise DataNotFoundError(f"no table in {path.absolute()}: looked for files that end in {', '.join(FORMATS)}.")
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(_split_of(file, path) or WHOLE, []).append(file)
    if len(by_split) > 1 and WHOLE in by_split:
        left = by_split.pop(WHOLE)
        notes.append(f"not read, as no split is in their names: {', '.join(file.name for file in left[:5])}")
    for split, found in by_split.items():
        _check_one_table(path, split, found)
    return SplitFiles({split: by_split[split] for split in (TRAIN, DEV, TEST, WHOLE) if split in by_split}, notes)


def _tables(folder: Path) -> tuple[list[Path], list[str]]:
    """The tables in a folder, or in its sub-folders where it holds none itself; and a note about what is left out."""
    found = [file for file in sorted(folder.rglob("*")) if file.is_file() and _is_table(file, folder)]
    own = [file for file in found if file.parent == folder]
    below = sorted({file.relative_to(folder).parts[0] for file in found if file.parent != folder})
    if own and below:
        return own, [f"not read, as {folder.name} holds tables itself: the folders {', '.join(below[:5])}"]
    return own or found, []


def _is_table(file: Path, folder: Path) -> bool:
    inside = file.relative_to(folder).parts
    if any(part.startswith(".") or part in SKIPPED_FOLDERS for part in inside):
        return False
    if file.name.lower() in _NOT_TABLES or file.name.startswith("cache-"):
        return False
    return named_format(file.name) is not None


def _stem(file: Path) -> str:
    return Path(unpacked(file.name)).stem


def _split_of(file: Path, folder: Path) -> str | None:
    found = _split_in(_stem(file))
    for part in reversed(file.relative_to(folder).parts[:-1]):
        found = found or _split_in(part)
    return found


def _check_one_table(folder: Path, split: str, files: list[Path]) -> None:
    """Several files are one table when they are of one format and differ in numbers alone.

    Raises:
        DataFormatError: when they are not.
    """
    kinds = {(file.parent, re.sub(r"\d+", "#", file.name)) for file in files}
    if len(kinds) > 1:
        shown = ", ".join(str(file.relative_to(folder)) for file in files[:6])
        raise DataFormatError(
            f"{folder.absolute()} holds several files for '{split}': {shown}.",
            hint="Give data.path one file or sub-folder, or a folder with one train, dev and test file (or numbered "
            "parts of them).",
        )
