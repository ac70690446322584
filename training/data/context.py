"""Which rows are read with the turns before them, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.context import ContextFormat, with_context
from shared.errors import ConfigError
from training.config.data import DataConfig
from training.data.column import Column
from training.data.corpus import Corpus
from training.data.sources.base import RawCorpus, RawSplit


def texts_in_context(split: RawSplit, form: ContextFormat | None) -> Column[str]:
    """The texts of a split, "" for a null one, each with the turns that the model reads before it."""
    texts = Column.of(split.texts).as_texts("")
    if form is None or split.context is None:
        return texts
    return Column.of(
        with_context(text, turns if form.turns is None else turns[max(0, len(turns) - form.turns) :])
        for text, turns in zip(texts, split.context, strict=True)
    )


def check_bundle_reads(config: DataConfig, form: ContextFormat | None) -> None:
    """Refuse context that is asked for and that the bundle in hand reads otherwise, or not at all.

    Raises:
        ConfigError: says how it reads it.
    """
    if config.context is None:
        return
    if form is None:
        raise ConfigError(
            "data.context_turns or data.context_column asks for previous turns, and the bundle was trained without.",
            hint="Leave them out, or train with: --data.context_turns 3",
        )
    if config.context_turns is not None and form.turns is not None and config.context_turns != form.turns:
        raise ConfigError(
            f"data.context_turns is {config.context_turns}, and the bundle reads {form.turns} previous turns.",
            hint="Leave it out: a bundle is given the turns that it was trained with.",
        )


def check_context(corpora: Sequence[RawCorpus], config: DataConfig) -> None:
    """Refuse context that is asked for and that no source has.

    Raises:
        ConfigError: says which sources have it.
    """
    if config.context is None:
        return
    if all(split.context is None for raw in corpora for split in raw.splits.values()):
        raise ConfigError(
            f"data.context_turns asks for previous turns, and {', '.join(raw.origin for raw in corpora)} has none.",
            hint="meld, dailydialog and empathetic_dialogues with data.utterances have them; of a table name "
            "data.context_column or data.dialogue_column.",
        )


def context_note(splits: Sequence[Corpus | None], form: ContextFormat | None) -> list[str]:
    """How many rows have previous turns, for the report."""
    if form is None:
        return []
    rows = [row for split in splits if split is not None for row in split.contexts]
    turns = "all previous turns" if form.turns is None else f"up to {form.turns} previous turns"
    return [
        f"context: {turns}, {form.length} tokens at most, {'with' if form.speakers else 'without'} speakers; "
        f"{sum(map(bool, rows)):,} of {len(rows):,} rows have any"
    ]
