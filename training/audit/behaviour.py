"""A check list of behaviours, in the manner of Ribeiro et al. 2020 (Beyond Accuracy: CheckList, ACL).

Three kinds of tests: minimum functionality (a simple text has its emotion), invariance (a change that means nothing
changes no decision), direction (a change moves a probability the way it should). Emotions that a model does not have
are left out. Shapes: L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEEDS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "joy": (("I am happy.", "happy", "I am not happy."), ("We felt joyful.", "joyful", "We never felt joyful.")),
    "sadness": (("I am sad.", "sad", "I am not sad."),
                ("She felt miserable.", "miserable", "She did not feel miserable.")),
    "anger": (("I am angry.", "angry", "I am not angry."),
              ("He was furious.", "furious", "He was not furious at all.")),
    "fear": (("I am scared.", "scared", "I am not scared."),
             ("They were terrified.", "terrified", "They were not terrified.")),
    "gratitude": (("I am thankful for your help.", "thankful", "I am not thankful for your help."),),
    "love": (("I love this song.", "love", "I do not love this song."),),
    "disgust": (("I am disgusted by the smell.", "disgusted", "I am not disgusted by the smell."),),
    "surprise": (("I am surprised by the result.", "surprised", "I am not surprised by the result."),),
    "embarrassment": (("I am embarrassed.", "embarrassed", "I am not embarrassed."),),
    "pride": (("I am proud of you.", "proud", "I am not proud of you."),),
    "confusion": (("I am confused by the rules.", "confused", "I am not confused by the rules."),),
    "excitement": (("I am excited about the trip.", "excited", "I am not excited about the trip."),),
    "remorse": (("I am sorry for what I did.", "sorry", "I am not sorry for what I did."),),
    "nervousness": (("I am nervous about the exam.", "nervous", "I am not nervous about the exam."),),
}  # fmt: skip
"""Emotion -> simple sentence, the word that names the emotion, and the sentence denied."""

POSITIVE = ("joy", "love", "gratitude", "excitement", "pride", "admiration", "amusement", "optimism", "approval")
EMOJI = {"joy": "😊", "sadness": "😢", "anger": "😡", "love": "❤️", "fear": "😱"}
SARCASM = (
    "Oh great, the train is cancelled again. /s", "Wow, I just love waiting three hours for nothing.",
    "Fantastic, my phone fell into the sink. Best day ever.", "Yeah right, because that went so well last time.",
    "Thanks a lot for ruining my evening.",
)  # fmt: skip
ADDITIONS = (" The bus was number twelve.", " It is Tuesday.", " The door is on the left.")
FILLER = "The shop opens at nine and closes at six. There is a table by the window. "
TOLERANCE = 0.05
"""How far a probability may move the wrong way."""


@dataclass(frozen=True)
class Case:
    """One expectation: texts and what must hold for the model's answers to them.

    Attributes:
        behaviour: what is tested.
        kind: functionality, invariance or direction.
        texts: one or two.
        holds: from probabilities and decisions of the texts, each of shape (len(texts), L), to whether it is met.
    """

    behaviour: str
    kind: str
    texts: tuple[str, ...]
    holds: Callable[[NDArray[np.float64], NDArray[np.bool_]], bool]


def cases(labels: Sequence[str]) -> list[Case]:
    """All cases for the emotions that a model has."""
    found: list[Case] = []
    for emotion, seeds in SEEDS.items():
        if emotion in labels:
            column = list(labels).index(emotion)
            for text, word, denied in seeds:
                found += _of_seed(column, emotion, text, word, denied)
    positive = [column for column, name in enumerate(labels) if name in POSITIVE]
    if positive:
        found += [Case("sarcasm markers", "functionality", (text,), _none_of(positive)) for text in SARCASM]
    return found


def _of_seed(column: int, emotion: str, text: str, word: str, denied: str) -> Iterator[Case]:
    yield Case("names its emotion", "functionality", (text,), _decided(column))
    yield Case("negation", "functionality", (denied,), _none_of([column]))
    yield Case("negation lowers", "direction", (text, denied), _falls(column))
    stronger = (text.replace(word, f"a little {word}"), text.replace(word, f"extremely {word}"))
    yield Case("intensity", "direction", stronger, _does_not_fall(column))
    middle = len(word) // 2
    swapped = word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]
    yield Case("typos", "invariance", (text, text.replace(word, swapped)), _still_decided(column))
    yield Case("typos", "invariance", (text, text.replace(word, word + word[-1])), _still_decided(column))
    yield Case("casing", "invariance", (text, text.upper()), _same_decisions)
    yield Case("casing", "invariance", (text, text.lower()), _same_decisions)
    if emotion in EMOJI:
        yield Case("emoji", "direction", (text, f"{text} {EMOJI[emotion]}"), _does_not_fall(column))
    for addition in ADDITIONS:
        yield Case("irrelevant additions", "invariance", (text, text + addition), _still_decided(column))
    yield Case("length", "invariance", (text, FILLER * 4 + text), _still_decided(column))
    yield Case("length", "invariance", (text, text + " " + FILLER * 4), _still_decided(column))


def _decided(column: int) -> Callable[..., bool]:
    return lambda _, decisions: bool(decisions[0, column])


def _none_of(columns: Sequence[int]) -> Callable[..., bool]:
    return lambda _, decisions: not decisions[0, list(columns)].any()


def _falls(column: int) -> Callable[..., bool]:
    return lambda p, _: bool(p[1, column] < p[0, column])


def _does_not_fall(column: int) -> Callable[..., bool]:
    return lambda p, _: bool(p[1, column] >= p[0, column] - TOLERANCE)


def _still_decided(column: int) -> Callable[..., bool]:
    return lambda _, decisions: bool(decisions[1, column] or not decisions[0, column])


def _same_decisions(_: NDArray[np.float64], decisions: NDArray[np.bool_]) -> bool:
    return bool((decisions[0] == decisions[1]).all())


def check_behaviour(
    answer: Callable[[Sequence[str]], tuple[NDArray[np.float64], NDArray[np.bool_]]], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Behaviour, its kind, pass rate and failing examples, ready for JSON.

    Args:
        answer: probabilities and decisions, shape (N, L) each, of N texts.
        labels: names of the L columns.
    """
    listed = cases(labels)
    texts = list(dict.fromkeys(text for case in listed for text in case.texts))
    if not texts:
        return []
    place = {text: row for row, text in enumerate(texts)}
    probabilities, decisions = answer(texts)
    rows: dict[tuple[str, str], list[tuple[Case, bool]]] = {}
    for case in listed:
        chosen = [place[text] for text in case.texts]
        rows.setdefault((case.behaviour, case.kind), []).append(
            (case, case.holds(probabilities[chosen], decisions[chosen]))
        )

    def said(text: str) -> str:
        decided = np.flatnonzero(decisions[place[text]])
        return ", ".join(f"{labels[int(c)]} {probabilities[place[text], c]:.2f}" for c in decided) or "no label"

    return [
        {
            "behaviour": behaviour, "kind": kind, "cases": len(found),
            "passed": float(np.mean([passed for _, passed in found])),
            "failures": [
                [{"text": text, "decided": said(text)} for text in case.texts] for case, passed in found if not passed
            ][:4],
        }
        for (behaviour, kind), found in rows.items()
    ]  # fmt: skip
