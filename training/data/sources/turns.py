"""The turns before an utterance: from the dialogues of its source, or from a column of a table."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from shared.context import MOST_TURNS, Context, Turn, read_cell
from shared.errors import ConfigError, DataFormatError
from shared.tables.values import name_in
from training.config.data import SourceConfig
from training.data.column import Column
from training.data.sources.tabular import Table


def previous_turns(
    dialogues: Sequence[str], texts: Sequence[str | None], speakers: Sequence[str | None] | None = None,
    order: Sequence[float] | None = None,
) -> Column[Context]:  # fmt: skip
    """The turns before every row in its dialogue, the oldest first, at most `MOST_TURNS`; empty texts are none.

    Args:
        dialogues: of N rows; a row of "" stands alone.
        texts: of N rows.
        speakers: of N rows, None for one who is not named.
        order: place of every row in its dialogue; that of the rows when None.
    """
    if order is not None:
        rows = np.argsort(np.asarray(order), kind="stable")
        dialogues, texts = Column.of(dialogues).take(rows), Column.of(texts).take(rows)
        speakers = None if speakers is None else Column.of(speakers).take(rows)
        return previous_turns(dialogues, texts, speakers).take(np.argsort(rows))
    return Column.of(_turns_before(dialogues, texts, repeat(None) if speakers is None else speakers))


def _turns_before(
    dialogues: Iterable[str], texts: Iterable[str | None], speakers: Iterable[str | None]
) -> Iterator[Context]:
    before: dict[str, deque[Turn]] = defaultdict(lambda: deque(maxlen=MOST_TURNS))
    for dialogue, text, speaker in zip(dialogues, texts, speakers, strict=False):
        if not dialogue:
            yield ()
            continue
        history, said = before[dialogue], (text or "").strip()
        yield tuple(history)
        if said:
            history.append(Turn(said, speaker or None))


def turns_in_cells(cells: Iterable[Any], where: str) -> Iterator[Context]:
    """The turns that the cells of a column hold.

    Raises:
        DataFormatError: for a cell that is a list of something else.
    """
    for row, cell in enumerate(cells, 1):
        try:
            turns = read_cell(cell)
        except ValueError as error:
            raise DataFormatError(f"{where}, row {row}: {error}.") from None
        yield tuple(turn for turn in turns if turn.text.strip())[-MOST_TURNS:]


def table_context(
    tables: Mapping[str, Table], source: SourceConfig, texts: Sequence[str | None],
    named: Callable[[Mapping[str, Table], str, str], Column[Any]],
) -> tuple[Column[Context] | None, Column[str] | None]:  # fmt: skip
    """Previous turns and dialogues of all rows, "" for one in none; None where no column is named for them.

    Args:
        tables: of the splits.
        source: which columns.
        texts: of all rows.
        named: the cells of a column, by its name and the key that names it.

    Raises:
        ConfigError: when columns of both kinds of context are named, a speaker without a dialogue, or a dialogue whose
            texts have several rows each.
    """
    by_cell, by_dialogue, by_speaker = source.context_column, source.dialogue_column, source.speaker_column
    if (by_cell and by_dialogue) or (by_speaker and not by_dialogue):
        raise ConfigError(
            f"data.context_column is {by_cell}, data.dialogue_column {by_dialogue} and data.speaker_column "
            f"{by_speaker}: previous turns stand in a column, or are the rows before of the same dialogue.",
            hint="Name data.context_column alone, or data.dialogue_column with data.speaker_column where there is one.",
        )
    if by_cell:
        cells = named(tables, by_cell, "data.context_column")
        where = f"{next(iter(tables.values())).path}, column '{by_cell}'"
        return Column.of(turns_in_cells(cells, where)), None
    if not by_dialogue:
        return None, None
    if source.aggregate is not None:
        raise ConfigError(
            f"data.aggregate is {source.aggregate}, for texts with several rows, and data.dialogue_column takes each "
            "row for a turn.",
            hint="Aggregate the rows first, or give the turns in data.context_column.",
        )
    names: Iterable[str] = (name_in(value) for value in named(tables, by_dialogue, "data.dialogue_column"))
    if len(tables) > 1:  # numbers begin anew in every file
        of_file = (split for split, table in tables.items() for _ in range(len(table)))
        names = (name and f"{split}:{name}" for split, name in zip(of_file, names, strict=True))
    dialogues = Column.of(names)
    speakers = None
    if by_speaker:
        speakers = Column.of(name_in(name) for name in named(tables, by_speaker, "data.speaker_column"))
    return previous_turns(dialogues, texts, speakers), dialogues
