"""Tables with several rows a text: a row per rater, or a row per text and label with the raters' answers beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import DataFormatError
from training.config.data import LabelKeys
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
        return self._replace(targets=self.targets[rows], known=self.known[rows])


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
    keys: Sequence[str], rows: LabelRows, answers: Mapping[str, Sequence[Any]], said: LabelKeys, name: str
) -> Aggregated | None:
    """One row a text where a table holds ratings; None where it does not.

    Args:
        keys: N normalised texts.
        rows: labels of the N rows.
        answers: answers of every rater (0 or 1, or an intensity) to whether the text has the row's label, N each.
        said: what the user says; `aggregate` names the rule.
        name: of the table, for messages.

    Raises:
        DataFormatError: when the rows are ratings and no rule is given.
    """
    if not len(keys) or (said.aggregate is None and not has_repeats(keys)):
        return None
    targets, known = rows.targets, rows.known
    group, first = _groups(keys)
    disagreeing = _disagreeing(group, targets, known, len(first))
    long = disagreeing * 2 > len(first) and (answers or disagreeing >= FEWEST_TEXTS)
    asked = bool(answers) and long
    if said.aggregate is None:
        if long:
            raise _refusal(name, len(keys), len(first), disagreeing, tuple(answers) if asked else ())
        return None
    yes, given = _votes(targets, known, answers) if asked else (targets * known, known.astype(np.float32))
    votes, rated = (_summed(values, group, len(first)) for values in (yes, given))
    share = np.divide(votes, rated, out=np.zeros_like(votes), where=rated > 0)
    soft = {"majority": share > 0.5, "two": votes >= 2, "share": share}[said.aggregate]
    kept = np.arange(len(first)) if asked else np.flatnonzero(soft.any(axis=1))
    note = f"{len(keys):,} rows of {len(first):,} texts; targets are {RULES[said.aggregate]}"
    if asked:
        note += f", from {', '.join(answers)}"
    return Aggregated(
        first[kept], soft[kept].astype(np.float32), rated[kept] > 0,
        {"texts whose raters agree on no label": len(first) - len(kept)}, (note,),
    )  # fmt: skip


def has_repeats(keys: Sequence[str]) -> bool:
    """Whether any text may stand twice."""
    hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
    return len(np.unique(hashes)) < len(hashes)


def _groups(keys: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The text of every row as a number, shape (N,), and the first row of every text, shape (M,)."""
    seen: dict[str, int] = {}
    first: list[int] = []
    group = np.empty(len(keys), dtype=np.intp)
    for row, key in enumerate(keys):
        if key not in seen:
            seen[key] = len(first)
            first.append(row)
        group[row] = seen[key]
    return group, np.array(first, dtype=np.intp)


def _summed(values: NDArray[np.float32], group: NDArray[np.intp], size: int) -> NDArray[np.float32]:
    total = np.zeros((size, values.shape[1]), dtype=np.float32)
    np.add.at(total, group, values)
    return total


def _disagreeing(group: NDArray[np.intp], targets: NDArray[np.float32], known: NDArray[np.bool_], size: int) -> int:
    """Texts whose rows have different labels."""
    repeated = np.flatnonzero(np.bincount(group, minlength=size)[group] > 1)
    if not len(repeated):
        return 0
    group, targets, known = group[repeated], targets[repeated], known[repeated]
    texts, group = np.unique(group, return_inverse=True)
    size = len(texts)
    low, high = (
        np.full((size, targets.shape[1]), np.inf, np.float32),
        np.full((size, targets.shape[1]), -np.inf, np.float32),
    )
    np.minimum.at(low, group, np.where(known, targets, np.inf))
    np.maximum.at(high, group, np.where(known, targets, -np.inf))
    return int((np.isfinite(low) & (low != high)).any(axis=1).sum())


def _votes(
    targets: NDArray[np.float32], known: NDArray[np.bool_], answers: Mapping[str, Sequence[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Answers that say yes and all answers, in the column of each row's label, both of shape (N, K)."""
    read = np.array([[_answer(value) for value in column] for column in answers.values()], dtype=np.float64)
    yes, given = (read > 0).sum(axis=0), (~np.isnan(read)).sum(axis=0)
    asked = (targets >= 0.5) & known
    return (asked * yes[:, None]).astype(np.float32), (asked * given[:, None]).astype(np.float32)


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
