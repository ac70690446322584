"""A CSV file with a line for every evaluated row, readable by our own reader of tables and by a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from shared.tables.values import for_csv
from training.evaluation.measures import Bools
from training.evaluation.sections import Scored, row_losses

ROWS_AT_ONCE = 50_000
SEPARATOR = ";"
"""Between the labels of a cell."""


def write_rows(path: Path, scored: Sequence[Scored], *, texts: bool) -> None:
    """Write part, id, source, text, length, labels (true, unknown, decided), loss and a probability a label.

    Args:
        path: the file.
        scored: the splits, all with the same labels.
        texts: whether the texts are written.
    """
    writer = None
    for item in scored:
        if item.corpus is None:
            continue
        for start in range(0, len(item.rows), ROWS_AT_ONCE):
            table = _table(item, np.arange(start, min(start + ROWS_AT_ONCE, len(item.rows))), texts=texts)
            writer = writer or pa_csv.CSVWriter(str(path), table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


def _table(item: Scored, places: np.ndarray, *, texts: bool) -> pa.Table:
    assert item.corpus is not None
    rows = item.rows.take(places)
    columns: dict[str, Any] = {
        "part": [item.name] * len(places), "id": [for_csv(item.corpus.ids[place]) for place in places],
        "source": [item.corpus.source[place] for place in places],
    }  # fmt: skip
    if texts:
        columns["text"] = [for_csv(item.corpus.texts[place]) for place in places]
    if item.tokens is not None:
        columns["tokens"] = item.tokens.lengths[places].astype(int)
        columns["truncated"] = item.tokens.truncated[places]
    columns |= {
        "true": _joined(rows.truth & rows.known, item.labels), "unknown": _joined(~rows.known, item.labels),
        "decided": _joined(rows.decisions, item.labels), "loss": np.round(row_losses(rows), 6),
    }  # fmt: skip
    columns |= {f"p_{name}": np.round(rows.probabilities[:, place], 6) for place, name in enumerate(item.labels)}
    return pa.table(columns)


def _joined(chosen: Bools, labels: Sequence[str]) -> list[str]:
    """Names of the labels of each row; the rows have few, so that those alone are looked at."""
    names: list[list[str]] = [[] for _ in range(len(chosen))]
    for row, column in zip(*np.nonzero(chosen), strict=True):
        names[row].append(labels[column])
    return [SEPARATOR.join(row) for row in names]
