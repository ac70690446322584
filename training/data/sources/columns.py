"""Which column of a table is the text, which hold the labels, and what the others are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.errors import DataFormatError
from training.config.data import SourceConfig
from training.data.sources.cells import MISSING, NUMBER
from training.data.sources.vocabulary import (
    ANSWER_WORDS,
    ANSWERS,
    EMOTIONS,
    RATER,
    RATER_ID,
    SPLIT_COLUMNS,
    is_emotion,
    is_flag,
    split_column,
)

TEXT_NAMES = (
    ("text", "sentence", "content", "utterance"),
    ("tweet", "comment", "message", "post", "body", "review", "document", "texts", "comment_text", "tweet_text"),
)
LABEL_NAMES = (
    ("label", "labels", "emotion", "emotions"),
    ("category", "categories", "class", "classes", "target", "targets", "sentiment", "tags",
     "emotion_label", "emotion_labels", "label_id", "label_ids", "gold_label", "label_name", "emotion_name"),
)  # fmt: skip
"""Names in two tiers: the second counts where none of the first is there."""
SPELLED_OUT = ("{}_name", "{}_names", "{}_text", "{}_str", "label_name", "label_text", "emotion_name", "class_name")
"""Columns that hold the names of the ids in a label column."""
ID_NAMES = ("id", "idx", "index", "row_id", "uid", "")
BINARY = frozenset(("0", "1", "0.0", "1.0", "true", "false", "yes", "no"))
MOST_SHOWN = 12
MOST_DIFFERENT = 1000
"""Different values that are looked at: no column of flags, answers or class ids has more."""

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter; `labels` are several names for one 0/1 column per label.

    Attributes:
        text: of the texts.
        labels: of the labels.
        one_hot: whether they are 0/1 columns.
        id: that names the rows.
        split: that names each row's split.
        raters: that hold the answers of one rater each, to the question whether the text has the label.
        unused: all others, and those of raters where nothing says how answers become labels.
        notes: choices made that may be wrong.
    """

    text: str
    labels: tuple[str, ...]
    one_hot: bool
    id: str | None
    split: str | None = None
    raters: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def described(self, form: str) -> str:
        """The choice in words."""
        names = ", ".join(f"'{name}'" for name in self.labels)
        unused = ", ".join(self.unused[:MOST_SHOWN]) + (", ..." if len(self.unused) > MOST_SHOWN else "")
        said = f"text column '{self.text}', label column{'s' if len(self.labels) > 1 else ''} {names} ({form})"
        return f"{said}; not used: {unused}" if self.unused else said


def find_columns(
    name: str, values: Values, source: SourceConfig, wanted: Sequence[str] = (), named_ids: Sequence[str] = ()
) -> Columns:
    """Find the columns of text and labels, or take the ones named.

    Args:
        name: of the table, for messages.
        values: its columns.
        source: what the user says.
        wanted: labels of the model, where they are known: 0/1 columns called so are labels.
        named_ids: columns whose ids the file itself names.

    Raises:
        DataFormatError: when a named column is not there, or there is no candidate, or more than one; lists them.
    """
    finder = _Finder(name, values, source, frozenset(label.casefold() for label in wanted), frozenset(named_ids))
    split = finder.split_column()
    labels, one_hot = finder.label_columns()
    text = finder.named(source.text_column) if source.text_column else finder.text_column(labels)
    taken = {text, *labels, split}
    identity = next((column for column in values if column.lower() in ID_NAMES and column not in taken), None)
    raters = () if one_hot else finder.answers(taken)
    used = {*taken, identity, *(raters if source.aggregate else ())}
    left = tuple(column for column in values if column not in used)
    return Columns(text, labels, one_hot, identity, split, raters, left, finder.notes)


@dataclass
class _Finder:
    name: str
    values: Values
    source: SourceConfig
    wanted: frozenset[str]
    named_ids: frozenset[str]
    notes: list[str] = field(default_factory=list)

    def named(self, column: str) -> str:
        if column not in self.values:
            raise DataFormatError(f"{self.name} has no column '{column}'; it has {', '.join(self.values)}.")
        return column

    def split_column(self) -> str | None:
        given = self.source.split_column
        if given is not None:
            return None if given == "none" else self.named(given)
        return split_column(self.values)

    def label_columns(self) -> tuple[tuple[str, ...], bool]:
        """The label columns, and whether they are 0/1 columns."""
        given = self.source.label_column
        if given in self.values:
            return (str(given),), bool(given and self._alone([given]))
        if given:
            names = tuple(self.named(column.strip()) for column in given.split(","))
            return names, len(names) > 1
        by_name = self._spelled_out(self._by_name(LABEL_NAMES))
        binary = self._binary_labels(alone=not by_name)
        if len(by_name) > 1 or (by_name and len(binary) > 1):
            raise self._ambiguous("label", [*by_name, *binary])
        if by_name:
            return (by_name[0],), False
        if len(binary) > 1 or self._alone(binary):
            return tuple(binary), True
        by_words = [column for column in self.values if self._holds_emotions(column)]
        if len(by_words) == 1:
            self.notes.append(f"column '{by_words[0]}' is taken as the label, as its values are emotions")
            return (by_words[0],), False
        raise self._no_label()

    def _by_name(self, tiers: Sequence[Sequence[str]], leaving: Sequence[str] = ()) -> list[str]:
        for names in tiers:
            found = [c for c in self.values if re.sub(r"[\s-]+", "_", c.strip().lower()) in names and c not in leaving]
            if found:
                return found
        return []

    def _spelled_out(self, found: list[str]) -> list[str]:
        """The column of names in place of the column of their ids, where each id has one name and the reverse."""
        lower = {column.strip().lower(): column for column in self.values}
        for ids in found:
            if ids in self.named_ids or not self._holds_ids(ids):
                continue
            beside = [lower[form.format(ids.strip().lower())] for form in SPELLED_OUT
                      if form.format(ids.strip().lower()) in lower]  # fmt: skip
            for names in dict.fromkeys([*beside, *found]):
                if names != ids and not self._holds_ids(names):
                    if self._one_to_one(ids, names):
                        self.notes.append(f"labels are read from '{names}', which names the ids of '{ids}'")
                        return [names, *(column for column in found if column not in (ids, names))]
                    if names in beside:
                        raise DataFormatError(
                            f"{self.name}: '{names}' does not name the ids of '{ids}' one to one.",
                            hint="Name the right column with data.label_column.",
                        )
        return found

    def _holds_ids(self, column: str) -> bool:
        return all(NUMBER.fullmatch(value) for value in self._filled(column))

    def _one_to_one(self, ids: str, names: str) -> bool:
        pairs = {(str(i), str(n)) for i, n in zip(self.values[ids], self.values[names], strict=True)
                 if i is not None and n is not None}  # fmt: skip
        return len(pairs) == len({i for i, _ in pairs}) == len({n for _, n in pairs})

    def _filled(self, column: str) -> set[str]:
        """Its different values as text, without the empty ones; of very many the first."""
        values = self.values[column]
        texts: set[str] = set()
        for value in values:
            if isinstance(value, (list, dict)):
                return {"a list"}
            if value is not None and (text := str(value).strip()).lower() not in MISSING:
                texts.add(text)
                if len(texts) > MOST_DIFFERENT:
                    return {*texts, "many values"}
        return texts

    def _holds_emotions(self, column: str) -> bool:
        found = self._filled(column)
        return len(found) > 1 and all(value.casefold() in EMOTIONS | self.wanted for value in found)

    def _binary_labels(self, *, alone: bool) -> list[str]:
        """0/1 columns that are labels; others of them are logged or asked about.

        Args:
            alone: whether there is no column of labels; then those called after a label count with a stray cell, too.
        """
        skipped = {*ID_NAMES, *SPLIT_COLUMNS, *RATER_ID, *(name for tier in LABEL_NAMES for name in tier)}
        columns = list(self.values)
        open_to = [c for c in columns if c.strip().lower() not in skipped and not RATER.fullmatch(c.strip())]
        binary = [column for column in open_to if self._is_binary(column)]
        if alone and (binary or self._numbers_said):
            binary = [c for c in open_to if c in binary or (self._is_label_name(c) and self._is_nearly_binary(c))]
        sure = [column for column in binary if self._is_label_name(column)]
        flags = [column for column in binary if column not in sure and is_flag(column)]
        rest = [column for column in binary if column not in sure and column not in flags]
        constant = [column for column in rest if len({value.lower()[0] for value in self._filled(column)}) == 1]
        if len(binary) < 2:
            return binary if self._alone(binary) else []
        left = [*flags, *(column for column in constant if len(rest) > len(constant) or sure)]
        open_ones = [column for column in rest if column not in left]
        if sure and open_ones:
            first, last = columns.index(sure[0]), columns.index(sure[-1])
            outside = [column for column in open_ones if not first < columns.index(column) < last]
            if outside:
                raise DataFormatError(
                    f"{self.name} has 0/1 columns of emotions ({', '.join(sure[:MOST_SHOWN])}) and others that may be "
                    f"labels or not: {', '.join(outside[:MOST_SHOWN])}.",
                    hint="Name the labels with data.label_column, separated by commas.",
                )
        if left:
            self.notes.append(f"0/1 columns that are not taken as labels: {', '.join(left)}")
        return [column for column in binary if column not in left]

    def _alone(self, columns: Sequence[str]) -> bool:
        """Whether it is one 0/1 column of a label that the model has."""
        return len(columns) == 1 and columns[0].strip().casefold() in self.wanted and self._is_binary(columns[0])

    def _is_binary(self, column: str) -> bool:
        found = self._filled(column)
        return bool(found) and {value.lower() for value in found} <= BINARY

    @property
    def _numbers_said(self) -> bool:
        return self.source.soft_labels or self.source.positive_from is not None

    def _is_nearly_binary(self, column: str) -> bool:
        """Whether most cells are 0 or 1, or all are numbers; none need be filled where blanks are said to be a no."""
        words = [word for value in self.values[column] if (word := str(value).strip().lower()) not in MISSING]
        bits = sum(word in BINARY for word in words)
        if not words:
            return self.source.blanks == "negative"
        return bits * 2 > len(words) or (
            (bits > 0 or self._numbers_said) and all(NUMBER.fullmatch(word) for word in words)
        )

    def _is_label_name(self, column: str) -> bool:
        return column.strip().casefold() in self.wanted or is_emotion(column)

    def answers(self, taken: set[str | None]) -> tuple[str, ...]:
        """Columns of numbers or yes and no that hold the answers of raters."""
        named = [
            c for c in self.values if c not in taken and (RATER.fullmatch(c.strip()) or c.strip().lower() in ANSWERS)
        ]
        return tuple(
            column for column in named
            if all(NUMBER.fullmatch(value) or value.lower() in ANSWER_WORDS for value in self._filled(column))
        )  # fmt: skip

    def text_column(self, labels: Sequence[str]) -> str:
        found = self._by_name(TEXT_NAMES, labels)
        if not found:
            found = [c for c in self.values if c not in labels and is_prose(self.values[c])]
        if len(found) == 1:
            return found[0]
        if found:
            raise self._ambiguous("text", found)
        raise DataFormatError(
            f"no text column found in {self.name}; its columns are {', '.join(self.values)}.",
            hint="Name it with data.text_column.",
        )

    def _ambiguous(self, what: str, found: Sequence[str]) -> DataFormatError:
        return DataFormatError(
            f"{self.name} has several columns that may be the {what}: {', '.join(found)}.",
            hint=f"Name the right one with data.{what}_column.",
        )

    def _no_label(self) -> DataFormatError:
        emotions = [c for c in self.values if self._is_label_name(c) and self._filled(c)
                    and all(NUMBER.fullmatch(value) for value in self._filled(c))]  # fmt: skip
        if len(emotions) == 1 and self._is_binary(emotions[0]):
            return DataFormatError(
                f"{self.name} has one 0/1 column of a label, {emotions[0]}; allowed: a column of names, or 0/1 columns "
                "of two labels and more."
            )
        if emotions:
            shown = sorted({value for column in emotions for value in self._filled(column)})[:4]
            return DataFormatError(
                f"{self.name} has no 0/1 columns: {', '.join(emotions[:MOST_SHOWN])} hold {', '.join(shown)}: scores, "
                "counts or intensities.",
                hint="data.positive_from says from which value on they are a yes, data.soft_labels that they are "
                "shares.",
            )
        return DataFormatError(
            f"no label column found in {self.name}: none of its columns ({', '.join(self.values)}) has a name such as "
            f"{', '.join(LABEL_NAMES[0])}, and they are not 0/1 columns.",
            hint="Name it with data.label_column.",
        )


def is_prose(values: Sequence[Any]) -> bool:
    """Whether most values are texts of several words."""
    several = sum(isinstance(value, str) and len(value.split()) > 1 for value in values)
    return several * 2 > len(values)
