"""One reader for every table: the same rules for training, evaluation and prediction (docs/data.md)."""

from shared.tables.chunk import Chunk
from shared.tables.options import FORMATS, Format, TableOptions, format_of
from shared.tables.splits import SplitFiles, find_splits, split_of_name
from shared.tables.table import STDIN, Table, open_table

__all__ = [
    "FORMATS",
    "STDIN",
    "Chunk",
    "Format",
    "SplitFiles",
    "Table",
    "TableOptions",
    "find_splits",
    "format_of",
    "open_table",
    "split_of_name",
]
