"""Sources of texts, one file each, and the registry that finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from shared.errors import ConfigError, InvalidInputError
from shared.languages import language_code
from training.config.data import SourceConfig
from training.data.sources.base import RawCorpus
from training.data.sources.dialogues import read_dailydialog, read_empathetic_dialogues
from training.data.sources.goemotions import read_goemotions
from training.data.sources.intensities import read_emoint, read_semeval_ei
from training.data.sources.intensity_table import read_intensity_table
from training.data.sources.isear import read_isear
from training.data.sources.kept import kept
from training.data.sources.languages import read_brighter, read_brighter_intensities, read_xed
from training.data.sources.meld import read_meld
from training.data.sources.sample import read_sample
from training.data.sources.semeval2018_ec import read_semeval
from training.data.sources.table import read_table_source
from training.data.sources.tweets import read_dair_emotion, read_emoevent, read_tweet_eval

READERS: Mapping[str, Callable[[SourceConfig], RawCorpus]] = {
    "sample": read_sample,
    "goemotions": read_goemotions,
    "table": read_table_source,
    "semeval2018_ec": read_semeval,
    "isear": read_isear,
    "meld": read_meld,
    "brighter": read_brighter,
    "tweet_eval": read_tweet_eval,
    "dair_emotion": read_dair_emotion,
    "xed": read_xed,
    "emoevent": read_emoevent,
    "empathetic_dialogues": read_empathetic_dialogues,
    "dailydialog": read_dailydialog,
}
"""The reader of every kind in `training.config.data.SourceKind` that has labels."""

INTENSITY_READERS: Mapping[str, Callable[[SourceConfig], RawCorpus]] = {
    "emoint": read_emoint,
    "semeval2018_ei": read_semeval_ei,
    "brighter": read_brighter_intensities,
    "table": read_intensity_table,
}
"""The reader of every kind that has intensities."""

ENGLISH = frozenset({
    "sample", "goemotions", "semeval2018_ec", "isear", "meld", "tweet_eval", "dair_emotion", "empathetic_dialogues",
    "dailydialog", "emoint",
})  # fmt: skip
"""Kinds whose texts are all English."""

OF_LABELS = (
    "label_column", "label_form", "delimiter", "ids_start", "blanks", "positive_from", "soft_labels", "aggregate",
    "annotated", "context_column", "dialogue_column", "speaker_column",
)  # fmt: skip
"""Keys of a source that say nothing about intensities."""

OF_INTENSITIES = ("intensity_columns", "scale")
"""Keys of a source that say nothing about labels."""

OF_TABLES = (
    "label_form", "delimiter", "ids_start", "blanks", "aggregate", "split_column", "intensity_columns", "scale",
    "date_column", "group_column", "context_column", "dialogue_column", "speaker_column", "language_column",
)  # fmt: skip
"""Keys of a source that other kinds than tables have no use for."""


def read_source(source: SourceConfig, wanted: Sequence[str] = (), *, task: str = "labels") -> RawCorpus:
    """Read one corpus.

    Args:
        source: what the user says.
        wanted: labels of the model, where they are known: they help to find those of a table.
        task: `data.task`: labels or intensity.

    Raises:
        ConfigError: when the kind has none of what the task is about, or a key is given that says nothing of it.
        DataNotFoundError: when it is not where it was looked for.
        DataFormatError: when a file is not in its format.
        EmptyDataError: when a file has no content.
    """
    readers = READERS if task == "labels" else INTENSITY_READERS
    if source.kind not in readers:
        has, other = ("intensities", "intensity") if task == "labels" else ("labels", "labels")
        raise ConfigError(
            f"the source {source.kind} has {has} alone, and data.task is {task}.",
            hint=f"Say --data.task {other}, or choose one of {', '.join(readers)}.",
        )
    _check_keys(source, task)
    if source.kind != "table":
        raw = kept((task, _read_by(source)), lambda: readers[source.kind](source))
    elif task == "intensity":
        raw = read_intensity_table(source)
    else:
        raw = read_table_source(source, wanted)
    return _with_language(raw, source)


def _read_by(source: SourceConfig) -> str:
    """All that a reader of a corpus in its own format may look at; rows are named after the path as it is given."""
    path = source.path and str(Path(source.path).absolute())
    return repr(replace(source, path=path, rename=None, drop=None, taxonomy=None, labels=None, weight=1.0))


def _check_keys(source: SourceConfig, task: str) -> None:
    """Refuse what would be passed over.

    Raises:
        ConfigError: names the key.
    """
    said = {key.name for key in fields(source) if getattr(source, key.name) != getattr(SourceConfig(), key.name)}
    if source.kind != "table" and (given := said.intersection(OF_TABLES)):
        raise ConfigError(
            f"data.{min(given)} is made for tables, and the source is {source.kind}.", hint="Leave it out."
        )
    other, alien = ("intensities", OF_INTENSITIES) if task == "labels" else ("labels", OF_LABELS)
    if given := said.intersection(alien):
        raise ConfigError(f"data.{min(given)} is made for {other}, and data.task is {task}.", hint="Leave it out.")


def _with_language(raw: RawCorpus, source: SourceConfig) -> RawCorpus:
    """The corpus with its language, where it is of one: the one that the user names, or that the corpus is known for.

    Raises:
        ConfigError: when the user names what is no code of a language, or another one than the corpus is in.
    """
    if any(split.languages is not None for split in raw.splits.values()):
        return raw
    known = "en" if source.kind in ENGLISH else raw.language
    if source.language is None:
        return replace(raw, language=known)
    try:
        said = language_code(source.language)
    except InvalidInputError as error:
        raise ConfigError(f"data.language: {error.message}", hint=error.hint) from None
    if known is not None and said != known:
        raise ConfigError(f"data.language is {said}, and {source.kind} is a corpus in {known}.")
    return replace(raw, language=said)
