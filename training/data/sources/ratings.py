"""Tables of ratings: a row per rater, or a row per text and label with the raters' answers beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError
from training.config.data import LabelKeys
from training.data import arrays
from training.data.sources.cells import MISSING
from training.data.sources.vocabulary import ANSWER_WORDS

FEWEST_TEXTS = 10
"""Texts whose rows disagree before a table without columns of raters is taken for one of ratings."""
RULES = {
    "majority": "labels that more than half of the answers give",
    "two": "labels that two answers or more give",
    "share": "shares of the answers (soft labels)",
}


class LabelRows(NamedTuple):
    """Labels of N rows: targets and what is known, shape (N, K), and how they were read."""

    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    labels: tuple[str, ...]
    numbered: bool
    inferred: bool
    form: str
    notes: list[str]

    def take(self, rows: NDArray[np.intp]) -> LabelRows:
        """Some of the rows."""
        if len(rows) == len(self.targets):
            return self
        return self._replace(targets=arrays.rows_of(self.targets, rows), known=arrays.rows_of(self.known, rows))


@dataclass(frozen=True)
class Aggregated:
    """One row for each text.

    Attributes:
        rows: the first row of each text, shape (M,).
        targets: 0/1 or shares, shape (M, K).
        known: labels that were asked about, shape (M, K).
        refused: texts left out, by reason.
        notes: what was done.
    """

    rows: NDArray[np.intp]
    targets: NDArray[np.float32]
    known: NDArray[np.bool_]
    refused: Mapping[str, int]
    notes: tuple[str, ...]


def aggregate_rows(
    first_of: NDArray[np.intp], rows: LabelRows, answers: Mapping[str, Sequence[Any]], said: LabelKeys, name: str
) -> Aggregated | None:
    """One row a text where a table holds ratings; None where it does not.

    Args:
        first_of: the first row of the text of each of N rows, shape (N,).
        rows: labels of the N rows.
        answers: answers of every rater (0 or 1, or an intensity) to whether the text has the row's label, N each.
        said: what the user says; `aggregate` names the rule.
        name: of the table, for messages.

    Raises:
        DataFormatError: when the rows are ratings, or answers deny a row's label, and no rule is given.
    """
    is_first = first_of == np.arange(len(first_of))
    if not len(first_of) or (said.aggregate is None and not answers and is_first.all()):
        return None
    targets, known = rows.targets, rows.known
    group, first = (np.cumsum(is_first) - 1)[first_of], np.flatnonzero(is_first)
    if said.aggregate is None:
        _check_no_ratings(group, rows, answers, name)
        return None
    votes, rated = _votes(targets, known, answers, group, len(first))
    soft = arrays.zeros(votes.shape, np.float32)
    for piece in arrays.pieces(len(first)):
        share = np.divide(votes[piece], rated[piece], out=np.zeros_like(votes[piece]), where=rated[piece] > 0)
        soft[piece] = {"majority": share > 0.5, "two": votes[piece] >= 2, "share": share}[said.aggregate]
    kept = np.flatnonzero((rated if answers else soft).any(axis=1))
    why = "texts without an answer" if answers else "texts whose raters agree on no label"
    note = f"{len(first_of):,} rows of {len(first):,} texts; targets are {RULES[said.aggregate]}"
    if answers:
        note += f", from {', '.join(answers)}"
    return Aggregated(
        first[kept], arrays.rows_of(soft, kept), arrays.rows_of(rated, kept) > 0, {why: len(first) - len(kept)}, (note,)
    )


def _check_no_ratings(
    group: NDArray[np.intp], rows: LabelRows, answers: Mapping[str, Sequence[Any]], name: str
) -> None:
    """Refuse rows that contradict each other as those of raters do, and a label that its row's answers deny."""
    hint = "Say how answers become labels with data.aggregate: majority, two or share."
    texts = int(group.max()) + 1
    raters = ", ".join(answers)
    disagreeing = _disagreeing(group, rows.targets, rows.known, texts)
    if disagreeing * 2 > texts and (answers or disagreeing >= FEWEST_TEXTS):
        what = f"a row for each text and label, with answers in {raters}" if answers else "a row for each rating"
        raise DataFormatError(
            f"{name} has {len(group):,} rows of {texts:,} texts, and the rows of {disagreeing:,} texts have different "
            f"labels: {what}.",
            hint=hint,
        )
    if denied := _denied(answers):
        raise DataFormatError(
            f"{name}: in {denied:,} of {len(group):,} rows no answer ({raters}) says yes to the row's label.",
            hint=f"{hint} A column that holds no answers needs another name.",
        )


def _disagreeing(group: NDArray[np.intp], targets: NDArray[np.float32], known: NDArray[np.bool_], size: int) -> int:
    """Texts whose rows have different labels."""
    repeated = np.flatnonzero(np.bincount(group, minlength=size)[group] > 1)
    if not len(repeated):
        return 0
    texts, place = np.unique(group[repeated], return_inverse=True)
    low, high = (arrays.zeros((len(texts), targets.shape[1]), np.float32) for _ in range(2))
    low[:], high[:] = np.inf, -np.inf
    for piece in arrays.pieces(len(repeated)):
        rows = repeated[piece]
        np.minimum.at(low, place[piece], np.where(known[rows], targets[rows], np.inf))
        np.maximum.at(high, place[piece], np.where(known[rows], targets[rows], -np.inf))
    return sum(
        int((np.isfinite(low[piece]) & (low[piece] != high[piece])).any(axis=1).sum())
        for piece in arrays.pieces(len(texts))
    )


def _votes(
    targets: NDArray[np.float32], known: NDArray[np.bool_], answers: Mapping[str, Sequence[Any]],
    group: NDArray[np.intp], texts: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Answers that say yes and all answers to every text, both of shape (M, K).

    Where raters answer whether a text has the label of its row, they count in the column of that label.
    """
    read = _read(answers)
    yes, given = (read > 0).sum(axis=0), (~np.isnan(read)).sum(axis=0)
    votes, rated = (arrays.zeros((texts, targets.shape[1]), np.float32) for _ in range(2))
    for piece in arrays.pieces(len(group)):
        asked = known[piece]
        if answers:
            asked = asked & (targets[piece] >= 0.5)
            np.add.at(votes, group[piece], asked * yes[piece, None].astype(np.float32))
            np.add.at(rated, group[piece], asked * given[piece, None].astype(np.float32))
        else:
            np.add.at(votes, group[piece], targets[piece] * asked)
            np.add.at(rated, group[piece], asked.astype(np.float32))
    return votes, rated


def _denied(answers: Mapping[str, Sequence[Any]]) -> int:
    """Rows that are answered, and by nobody with yes, where all answers are yes or no."""
    read = _read(answers)
    if not np.isin(read[~np.isnan(read)], (0.0, 1.0)).all():
        return 0
    filled = np.array([[not _is_blank(value) for value in column] for column in answers.values()], np.bool_)
    return int((filled.any(axis=0) & ~(read > 0).any(axis=0)).sum())


def _read(answers: Mapping[str, Sequence[Any]]) -> NDArray[np.float64]:
    """The answers of R raters to N rows as numbers, shape (R, N); NaN for none."""
    return np.array([np.fromiter(map(_answer, column), np.float64) for column in answers.values()])


def _answer(value: Any) -> float:
    if _is_blank(value):
        return float("nan")
    word = str(value).strip().lower()
    if word in ANSWER_WORDS:
        return ANSWER_WORDS[word]
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _is_blank(value: Any) -> bool:
    return str(value).strip().lower() in MISSING
