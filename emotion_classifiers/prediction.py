"""What a model, or a service asked by the client, says about one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label; it is decided where its calibrated probability reaches its threshold."""

    label: str
    probability: float
    threshold: float
    decided: bool


@dataclass(frozen=True, slots=True)
class Intensity:
    """How intense a label is on the model's scale, in an interval; `level` where the scale has levels."""

    label: str
    intensity: float
    low: float
    high: float
    level: float | None = None


@dataclass(frozen=True, slots=True)
class NearestLabel:
    """The most probable label where none is decided; `distance` is what it lacks to its threshold."""

    label: str
    probability: float
    threshold: float
    distance: float


@dataclass(frozen=True, slots=True)
class WordScore:
    """`text[start:end]`, and what a label's log-odds lose without it."""

    start: int
    end: int
    word: str
    contribution: float


@dataclass(frozen=True, slots=True)
class Segment:
    """The answer for `text[start:end]`; for its parts see `Prediction`."""

    start: int
    end: int
    scores: tuple[LabelScore, ...]
    probabilities: Mapping[str, float]
    warnings: tuple[str, ...]
    probably: NearestLabel | None
    reasons: Mapping[str, tuple[WordScore, ...]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the `scores`."""
        return tuple(score.label for score in self.scores)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one text.

    Attributes:
        scores: the decided labels, or with `top_k` the k likeliest; the most probable first.
        probabilities: label -> calibrated probability, of all labels; empty where a service was not asked for them.
        truncated: whether the middle of the text was left out, as it is longer than the model reads.
        num_tokens: tokens of the whole text, special tokens included.
        coverage: share of its tokens that the model knows, 0..1.
        warnings: codes of what makes the answer doubtful: unknown_tokens, other_language, too_short, truncated.
        probably: where nothing is decided, the most probable label; None otherwise.
        reasons: with `explain`, decided label -> words, the one that adds most first.
        segments: with `segments`, the answer for each of them, in their order.
        timeline: with `segments`, label decided anywhere -> its probability in each of them.
        intensities: from a model of intensities, in place of scores and probabilities: label -> its intensity, the most
            intense first.
        error: why this text has no answer (it is empty, for example); None for a text that was read.
    """

    scores: tuple[LabelScore, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = False
    num_tokens: int = 0
    error: str | None = None
    coverage: float = 1.0
    warnings: tuple[str, ...] = ()
    probably: NearestLabel | None = None
    reasons: Mapping[str, tuple[WordScore, ...]] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    timeline: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    intensities: Mapping[str, Intensity] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the `scores`."""
        return tuple(score.label for score in self.scores)

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> Prediction:
        """One entry of the `results` that `POST /predict` answers."""
        if result.get("error"):
            return cls(error=str(result["error"]["detail"]))
        return cls(
            **_said(result),
            truncated=bool(result["truncated"]),
            num_tokens=int(result["num_tokens"]),
            coverage=float(result.get("coverage", 1.0)),
            segments=tuple(
                Segment(start=int(entry["start"]), end=int(entry["end"]), **_said(entry))
                for entry in result.get("segments") or ()
            ),
            intensities={each["label"]: Intensity(**each) for each in result.get("intensities") or ()},
            timeline={name: tuple(course) for name, course in (result.get("timeline") or {}).items()},
        )


def _said(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a text and a segment have in common."""
    nearest = entry.get("probably")
    return {
        "scores": tuple(LabelScore(**score) for score in entry.get("labels") or ()),
        "probabilities": dict(entry.get("probabilities") or {}),
        "warnings": tuple(entry.get("warnings") or ()),
        "probably": None if nearest is None else NearestLabel(**nearest),
        "reasons": {
            name: tuple(WordScore(**word) for word in words) for name, words in (entry.get("reasons") or {}).items()
        },
    }
