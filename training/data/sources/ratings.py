"""Tables with several rows a text: a row per rater, or a row per text and label with the raters' answers beside."""

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
        DataFormatError: when the rows are ratings and no rule is given.
    """
    is_first = first_of == np.arange(len(first_of))
    if not len(first_of) or (said.aggregate is None and is_first.all()):
        return None
    targets, known = rows.targets, rows.known
    group, first = (np.cumsum(is_first) - 1)[first_of], np.flatnonzero(is_first)
    disagreeing = _disagreeing(group, targets, known, len(first))
    long = disagreeing * 2 > len(first) and (answers or disagreeing >= FEWEST_TEXTS)
    asked = bool(answers) and long
    if said.aggregate is None:
        if long:
            raise _refusal(name, len(first_of), len(first), disagreeing, tuple(answers) if asked else ())
        return None
    votes, rated = _votes(targets, known, answers if asked else {}, group, len(first))
    soft = arrays.zeros(votes.shape, np.float32)
    for piece in arrays.pieces(len(first)):
        share = np.divide(votes[piece], rated[piece], out=np.zeros_like(votes[piece]), where=rated[piece] > 0)
        soft[piece] = {"majority": share > 0.5, "two": votes[piece] >= 2, "share": share}[said.aggregate]
    kept = np.arange(len(first)) if asked else np.flatnonzero(soft.any(axis=1))
    note = f"{len(first_of):,} rows of {len(first):,} texts; targets are {RULES[said.aggregate]}"
    if asked:
        note += f", from {', '.join(answers)}"
    return Aggregated(
        first[kept], arrays.rows_of(soft, kept), arrays.rows_of(rated, kept) > 0,
        {"texts whose raters agree on no label": len(first) - len(kept)}, (note,),
    )  # fmt: skip


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
    read = np.array([np.fromiter(map(_answer, column), np.float64) for column in answers.values()])
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


def _answer(value: Any) -> float:
    word = str(value).strip().lower()
    if value is None or word in MISSING:
        return float("nan")
    if word in ("true", "yes", "false", "no"):
        return float(word in ("true", "yes"))
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _refusal(name: str, rows: int, texts: int, disagreeing: int, raters: Sequence[str]) -> DataFormatError:
    what = f"a row for each text and label, with answers in {', '.join(raters)}" if raters else "a row for each rating"
    return DataFormatError(
        f"{name} has {rows:,} rows of {texts:,} texts, and the rows of {disagreeing:,} texts have different labels: "
        f"{what}.",
        hint="Say how they become labels with data.aggregate: majority, two or share.",
    )
