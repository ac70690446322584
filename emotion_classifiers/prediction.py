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
class Prediction:
    """The answer for one text.

    Attributes:
        scores: the decided labels, or with `top_k` the k likeliest; the most probable first.
        probabilities: label -> calibrated probability, of all labels; empty where a service was not asked for them.
        truncated: whether the middle of the text was left out, as it is longer than the model reads.
        num_tokens: tokens of the whole text, special tokens included.
        error: why this text has no answer (it is empty, for example); None for a text that was read.
    """

    scores: tuple[LabelScore, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = False
    num_tokens: int = 0
    error: str | None = None

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
            tuple(LabelScore(**entry) for entry in result["labels"]),
            dict(result.get("probabilities") or {}),
            bool(result["truncated"]),
            int(result["num_tokens"]),
        )
