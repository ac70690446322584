"""A conversation turn by turn: what is said with each, and the course of every label."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_classifiers.prediction import Prediction
from serving.http.schemas import can_be_read
from shared.context import MOST_TURNS, NOT_A_TURN, Turn, read_turns
from shared.errors import InvalidInputError
from shared.smoothing import ExponentialSmoothing

if TYPE_CHECKING:
    from emotion_classifiers.model import Model


@dataclass(frozen=True)
class Conversation:
    """The answers for N turns.

    Attributes:
        turns: as they were given.
        predictions: one a turn, read after the turns before it where the bundle reads those.
        timeline: label -> its probability in each turn, smoothed; NaN where a turn cannot be read.
        labels: of each turn, decided from the smoothed probabilities, the most probable first.
        smoothing: weight of what came before, 0 for none.
    """

    turns: tuple[Turn, ...]
    predictions: tuple[Prediction, ...]
    timeline: Mapping[str, tuple[float, ...]]
    labels: tuple[tuple[str, ...], ...]
    smoothing: float


def read_conversation(
    model: Model, turns: Iterable[Any], *, smoothing: float, profile: str | None, policy: str | None
) -> Conversation:
    """Read every turn after those before it; see `Model.conversation`."""
    smoother, given = ExponentialSmoothing(smoothing), _read(turns)
    bundle = model.predictor.bundle.with_profile(profile)
    if bundle.readout is not None:
        raise InvalidInputError(
            "this model answers intensities; the course of a conversation is made of probabilities.",
            hint="Use predict.",
        )
    before: list[Sequence[Turn]] = []
    history: deque[Turn] = deque(maxlen=MOST_TURNS)
    for turn in given:
        before.append(tuple(history))
        if can_be_read(turn):
            history.append(turn)
    context = None if bundle.manifest.context is None else before
    found = model.predict([turn.text for turn in given], context=context, profile=profile, policy=policy)
    names = model.labels
    course = np.full((len(found), len(names)), np.nan)
    decided: list[tuple[str, ...]] = []
    for row, prediction in enumerate(found):
        if prediction.error is not None:
            decided.append(())
            continue
        course[row] = smoother.next([prediction.probabilities[name] for name in names])
        chosen = np.flatnonzero(bundle.policies.decide(course[row], policy))
        ranked = [names[place] for place in sorted(chosen, key=lambda place: -course[row, place])]
        decided.append(tuple(ranked) if smoothing else tuple(s.label for s in prediction.scores if s.decided))
    timeline = {name: tuple(column) for name, column in zip(names, course.T.tolist(), strict=True)}
    return Conversation(given, tuple(found), timeline, tuple(decided), smoothing)


def _read(turns: Iterable[Any]) -> tuple[Turn, ...]:
    try:
        if turns is None:
            raise ValueError
        return read_turns(turns)
    except ValueError:
        raise InvalidInputError(f"turns: a conversation is a list, the oldest turn first; {NOT_A_TURN}.") from None
