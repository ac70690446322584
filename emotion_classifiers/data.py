"""Data as a user has it in hand, as options of the commands that read it: DataFrame, rows, path, name on the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from emotion_classifiers.hub import download
from emotion_classifiers.texts import listed, plain
from emotion_classifiers.wording import reword
from shared.errors import DataNotFoundError, EmotionError, InvalidInputError
from shared.files import replacing_file
from shared.tables.values import is_missing

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
GOEMOTIONS = "google-research-datasets/go_emotions"
"""On the hub; read by a reader of its own, which knows its labels."""

TABLES = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json")
SOURCE_KEYS = ("data.source", "data.sources", "data.path")
IN_HAND = {
    "dataframe.parquet": "the data given",
    "texts.parquet": "the table of texts",
    "frequencies.yaml": "frequencies",
}
"""The files that hold for the readers what a call was given, and what its errors call them."""


def options_for(
    data: Any, folder: Path, *, text: str | None, labels: str | Sequence[str] | None, unchanged: bool = False
) -> dict[str, Any]:
    """The options that say where `data` is.

    Args:
        data: a DataFrame, a list of dictionaries, a path, a name on the hub, or None where the options say it.
        folder: where a DataFrame or rows are written, so that the readers find them.
        text: column of the texts.
        labels: column of the labels, or of one 0/1 column a label.
        unchanged: whether a DataFrame or rows must be those that are in `folder` already, where some are.

    Raises:
        DataNotFoundError: when nothing is at the path and it is no name on the hub.
        InvalidInputError: for data of another kind, or others than those in `folder`, which stay as they were.
    """
    columns = {
        "data.text_column": text,
        "data.label_column": labels if labels is None or isinstance(labels, str) else ",".join(labels),
    }
    named = {key: value for key, value in columns.items() if value is not None}
    if data is None:
        return named
    if isinstance(data, str) and data == GOEMOTIONS:
        return {"data.source": "goemotions", "data.path": data, **named}
    if isinstance(data, str | PathLike):
        return {"data.source": "table", "data.path": str(_path(data)), **named}
    return {"data.source": "table", "data.path": str(_written(data, folder, unchanged=unchanged)), **named}


def texts_option(texts: Any, folder: Path) -> str:
    """The path of a table of texts: as given, or written into `folder` from a column, a list or a DataFrame.

    Raises:
        InvalidInputError: for texts of another kind.
    """
    if isinstance(texts, str | PathLike):
        return fspath(texts)
    is_table = hasattr(texts, "columns") or (isinstance(texts, Sequence) and isinstance(next(iter(texts), 0), Mapping))
    column = [] if is_table else [None if is_missing(text) else text for text in listed(texts)]
    return str(_written(texts if is_table else {"text": column}, folder, "texts.parquet"))


def frequencies_option(frequencies: Any, folder: Path) -> str:
    """The path of a file of frequencies: as given, or written into `folder` from label -> share.

    Raises:
        InvalidInputError: for frequencies of another kind.
    """
    if isinstance(frequencies, str | PathLike):
        return fspath(frequencies)
    try:
        content = json.dumps({str(label): share for label, share in frequencies.items()}, default=float)
    except (AttributeError, TypeError, ValueError):
        raise InvalidInputError(
            f"frequencies is a {type(frequencies).__name__}, not label -> share.", hint='For example: {"joy": 0.3}'
        ) from None
    path = folder / "frequencies.yaml"
    path.write_text(content, encoding="utf-8")  # JSON is YAML
    return str(path)


@contextmanager
def as_given(folder: Path) -> Iterator[None]:
    """Errors speak of what the call was given, not of the files in `folder` or the keys that say where it is."""
    try:
        yield
    except EmotionError as error:
        names = {str(base / file): name for base in (folder.absolute(), folder) for file, name in IN_HAND.items()}
        names |= {"data.label_column": "labels", "data.text_column": "text"}
        reword(error, lambda text: _renamed(text, names))
        raise


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(f"table {old}", new).replace(old, new)
    return text


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as they are written on the command line.

    Raises:
        InvalidInputError: for a value that no option takes, like a DataFrame.
    """
    return [f"--{name}={_text(name, value)}" for name, value in options.items()]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str | PathLike):
        return fspath(value)
    try:
        return json.dumps(value, default=_plain)
    except TypeError:
        raise InvalidInputError(f"{name} is a {type(value).__name__}, which no option takes.") from None


def _plain(value: Any) -> Any:
    """A path, or what `plain` takes, as JSON has it."""
    if isinstance(value, PathLike):
        return fspath(value)
    return plain(value)


def _path(data: str | PathLike[str]) -> Path:
    path = Path(data)
    if path.exists():
        return path
    name = str(data).removeprefix("hf://")
    if isinstance(data, str) and HUB_NAME.fullmatch(name) and not path.suffix:
        return download(name, repo_type="dataset", allow_patterns=TABLES)
    raise DataNotFoundError(
        f"no data at {path.absolute()}.", hint='Give a file, a folder, a DataFrame, or "owner/name" on the hub.'
    )


def _written(data: Any, folder: Path, name: str = "dataframe.parquet", *, unchanged: bool = False) -> Path:
    """A DataFrame (of pandas, polars or Arrow), or rows, as a Parquet file in `folder`."""
    path = folder / name
    with replacing_file(path) as new:
        _write(data, new)
        if unchanged and path.is_file() and any(a != b for a, b in zip_longest(_rows(new), _rows(path))):
            raise InvalidInputError(
                "the data given are not those that this run began with.",
                hint="Give the same, or start again with --run.overwrite true.",
            )
    return path


def _rows(path: Path) -> Iterator[str]:
    """The rows of a Parquet file as text, in which a NaN equals another, and types of the same values are one."""
    import pyarrow.parquet as pq  # noqa: PLC0415  (a path needs it not)

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from map(repr, batch.to_pylist())


def _write(data: Any, path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
            table = pa.table({str(name): values for name, values in _columns_of(data).items()})
        elif type(data).__module__.partition(".")[0] == "pandas":
            table = pa.Table.from_pandas(data.rename(columns=str), preserve_index=False)
        else:
            table = pa.table(data)
        pq.write_table(table, path)
    except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as error:
        columns = _columns_of(data)
        if mixed := _mixed_column(columns):
            raise InvalidInputError(mixed, hint="Give every value of a column as the same kind.") from None
        if unheld := _unheld_value(columns):
            raise InvalidInputError(unheld, hint="Give another value, or leave the column out.") from None
        raise InvalidInputError(
            f"data is a {type(data).__name__} that is no table ({_in_short(error)}).",
            hint="Give a DataFrame, a list of dictionaries, a path or a hub name.",
        ) from error


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:150]


def _columns_of(data: Any) -> dict[str, list[Any]]:
    """The columns of a DataFrame, a dictionary of columns, or rows; none of what has none."""
    if isinstance(data, Sequence):
        rows = [row for row in data if isinstance(row, Mapping)]
        return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    columns = data.items() if hasattr(data, "items") else ()
    return {name: list(column) for name, column in columns if isinstance(column, Iterable)}


def _mixed_column(columns: Mapping[str, list[Any]]) -> str | None:
    """Which column holds values of several kinds, and where the first of another kind is; None where none does."""
    for name, values in columns.items():
        kinds = {place: type(value).__name__ for place, value in enumerate(values) if not is_missing(value)}
        first = next(iter(kinds.values()), None)
        for place, kind in kinds.items():
            if kind != first:
                return (
                    f"the column '{name}' holds values of several kinds: {', '.join(dict.fromkeys(kinds.values()))}; "
                    f"the first {kind} is at position {place}, counted from 0."
                )
    return None


def _unheld_value(columns: Mapping[str, list[Any]]) -> str | None:
    """Which column holds a value that no table does, and where; None where none does."""
    import pyarrow as pa  # noqa: PLC0415

    for name, values in columns.items():
        for place, value in enumerate(values):
            try:
                pa.array([value])
            except UnicodeEncodeError:
                why = "half a surrogate pair, which is not valid Unicode"
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                why = _in_short(error)
            else:
                continue
            return (
                f"the column '{name}' holds a value that no table can hold at position {place}, counted from 0: {why}."
            )
    return None
