"""Data as a user has it in hand, as options of the commands that read it: DataFrame, rows, path, name on the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from emotion_classifiers.hub import download
from shared.errors import DataNotFoundError, InvalidInputError

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
GOEMOTIONS = "google-research-datasets/go_emotions"
"""On the hub; read by a reader of its own, which knows its labels."""

TABLES = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json")
SOURCE_KEYS = ("data.source", "data.sources", "data.path")


def options_for(
    data: Any, folder: Path, *, text: str | None, labels: str | Sequence[str] | None
) -> dict[str, Any]:  # fmt: skip
    """The options that say where `data` is.

    Args:
        data: a DataFrame, a list of dictionaries, a path, a name on the hub, or None where the options say it.
        folder: where a DataFrame or rows are written, so that the readers find them.
        text: column of the texts.
        labels: column of the labels, or of one 0/1 column a label.

    Raises:
        DataNotFoundError: when nothing is at the path and it is no name on the hub.
        InvalidInputError: for data of another kind.
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
    return {"data.source": "table", "data.path": str(_written(data, folder)), **named}


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as they are written on the command line."""
    return [f"--{name}={_text(value)}" for name, value in options.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


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


def _written(data: Any, folder: Path) -> Path:
    """A DataFrame (of pandas, polars or Arrow), or rows, as a Parquet file in `folder`."""
    import pyarrow as pa  # noqa: PLC0415  (a path needs it not)
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
            table = pa.Table.from_pylist([dict(row) for row in data])
        elif type(data).__module__.partition(".")[0] == "pandas":
            table = pa.Table.from_pandas(data.rename(columns=str), preserve_index=False)
        else:
            table = pa.table(data)
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(
            f"data is a {type(data).__name__} that is no table ({' '.join(str(error).split())[:150]}).",
            hint="Give a DataFrame, a list of dictionaries, a path or a hub name.",
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dataframe.parquet"
    pq.write_table(table, path)
    return path
