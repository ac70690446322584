"""A column of dates as seconds since 1970: ISO 8601 texts, dates of Parquet, or seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError

EARLIEST_S, LATEST_S = 0.0, 4.2e9
"""1970 to 2103: a number outside is no count of seconds."""

_NUMBER = re.compile(r"\d+(\.\d+)?")


def read_dates(values: Sequence[Any], where: str) -> NDArray[np.float64]:
    """Seconds since 1970 in UTC, shape (N,); a date without a zone counts as UTC.

    Args:
        values: N cells.
        where: file and column, for errors.

    Raises:
        DataFormatError: for a cell that is no date, with its row.
    """
    found = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            found[row] = _seconds(value)
        except (ValueError, TypeError):
            raise DataFormatError(
                f"{where}, row {row + 1}: {str(value)[:40]!r} is no date; allowed: 2024-05-31, "
                "2024-05-31T18:30:00+02:00, a date of Parquet, or seconds since 1970."
            ) from None
    return found


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC).timestamp()
    text = str(value).strip()
    if _NUMBER.fullmatch(text) and not re.fullmatch(r"\d{8}|\d{4}", text):
        seconds = float(text)
        if not EARLIEST_S <= seconds <= LATEST_S:
            raise ValueError(text)
        return seconds
    return _seconds(datetime.fromisoformat(text))
