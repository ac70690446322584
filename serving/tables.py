"""Rows of texts from JSONL, CSV or Parquet, and the same rows with their predictions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from shared.files import replacing_file

PREDICTED = "predicted_labels"
"""Column of the labels decided for a row."""

SUFFIXES = (".jsonl", ".csv", ".parquet")
LABEL_SEPARATOR = "|"
"""Between the labels of a row in a CSV file."""


def check_suffix(path: Path) -> str:
    """The format of a file, by its suffix.

    Raises:
        ConfigError: for a suffix that is none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"cannot tell the format of {path}.", hint=f"Name it with one of {', '.join(SUFFIXES)}.")
    return path.suffix.lower()


def read_table(path: Path, text_column: str) -> pd.DataFrame:
    """Rows of a file with a column of texts.

    Raises:
        ConfigError: for an unknown suffix.
        DataNotFoundError: when the file is not there.
        DataFormatError: when it cannot be parsed or lacks the column.
    """
    suffix = check_suffix(path)
    if not path.is_file():
        raise DataNotFoundError(f"no input file at {path}.")
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        elif suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        else:
            table = pd.read_json(path, lines=True, dtype=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path} is not UTF-8 (byte {error.start}).", hint="Convert it to UTF-8.") from error
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataFormatError(f"{path} is not a readable {suffix[1:]} file: {reason}.") from error
    if text_column not in table.columns:
        found = ", ".join(map(str, table.columns)) or "none"
        raise DataFormatError(
            f"{path} has no column '{text_column}' (columns: {found}).", hint="Name the column with --text_column."
        )
    return table


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write rows in the format of the suffix; lists of labels become one cell in CSV. The file is whole or not there.

    Raises:
        ConfigError: for an unknown suffix.
    """
    suffix = check_suffix(path)
    with replacing_file(path) as temporary:
        if suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif suffix == ".csv":
            flat = table.assign(**{PREDICTED: table[PREDICTED].map(LABEL_SEPARATOR.join)})
            flat.to_csv(temporary, index=False)
        else:
            table.to_json(temporary, orient="records", lines=True, force_ascii=False, double_precision=10)
