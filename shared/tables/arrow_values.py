"""Values of Arrow's columns in Python: dates and times as ISO texts, however deep they are and whatever their year."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_OUT_OF_RANGE = "<value out of range"
"""How Arrow begins the text of a date in a year that it does not count to: beyond 32,767."""


def values_of(column: Any) -> list[Any]:
    """The N values of a column.

    Python's own dates and times end with the year 9999 and have no nanoseconds, so that texts stand for them; durations
    are whole numbers of their unit. Zones that this machine does not know are read in UTC.

    Raises:
        ValueError: for objects with two fields of one name.
    """
    kind = column.type
    if _is_plain(kind) or pa.types.is_duration(kind):
        values: list[Any] = (column.cast(pa.int64()) if pa.types.is_duration(kind) else column).to_pylist()
        return values
    if pa.types.is_temporal(kind):
        return _texts(column)
    if pa.types.is_struct(kind):
        return _objects(column)
    decoded = _decoded(column)
    if decoded is not None:
        return values_of(decoded)
    if pa.types.is_map(kind):
        pairs = column.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        return [None if row is None else [(pair["key"], pair["value"]) for pair in row] for row in values_of(pairs)]
    items, lengths = iter(values_of(column.flatten())), pc.list_value_length(column).to_pylist()
    return [None if length is None else list(islice(items, length)) for length in lengths]


def _decoded(column: Any) -> Any:
    """The values themselves, of a column that names them by number, counts them or calls them something else."""
    if pa.types.is_dictionary(column.type):
        return column.dictionary.take(column.indices)
    if pa.types.is_run_end_encoded(column.type):
        return pc.run_end_decode(column)
    return column.storage if isinstance(column.type, pa.BaseExtensionType) else None


def _is_plain(kind: Any) -> bool:
    """Whether Python's own values stand for all within a type."""
    if pa.types.is_temporal(kind):
        return bool(pa.types.is_interval(kind))
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _is_plain(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _is_plain(kind.storage_type)
    if pa.types.is_union(kind):
        return True
    return all(_is_plain(kind.field(place).type) for place in range(kind.num_fields))


def _objects(column: Any) -> list[Any]:
    names = [field.name for field in column.type]
    if len(set(names)) < len(names):
        raise ValueError("its objects have several fields of one name")
    rows = zip(*map(values_of, column.flatten()), strict=True)
    valid = column.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, valid, strict=True)]


def _texts(column: Any) -> list[str | None]:
    """Dates and times by ISO 8601, with the zone's offset where they have a zone."""
    kind = column.type
    try:
        texts = column.cast(pa.string())
    except pa.ArrowInvalid:
        if not pa.types.is_timestamp(kind):
            raise
        texts = pc.binary_join_element_wise(column.cast(pa.timestamp(kind.unit)).cast(pa.string()), "+0000", "")
    found: list[str | None] = texts.to_pylist()
    if not pa.types.is_time(kind):
        for row, text in enumerate(found):
            if text is not None and text.startswith(_OUT_OF_RANGE):
                found[row] = _far_text(column[row])
    return found


def _far_text(date: Any) -> str:
    """A date or time in UTC by numpy, which knows every year that Arrow holds."""
    kind = date.type
    unit = kind.unit if pa.types.is_timestamp(kind) else "D" if pa.types.is_date32(kind) else "ms"
    shown = "D" if pa.types.is_date(kind) else unit
    text = str(np.array(date.value, f"M8[{unit}]").astype(f"M8[{shown}]"))
    return text.replace("T", " ") + ("Z" if pa.types.is_timestamp(kind) and kind.tz is not None else "")
