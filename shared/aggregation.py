"""From the segments of a text to the text: one probability a label, and thresholds of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import BundleFormatError
from shared.files import read_json, write_json
from shared.thresholds import Policies

FILE = "aggregation.json"
METHODS = ("max", "noisy_or", "mean", "top2_mean")


def aggregate(probabilities: NDArray[np.floating], method: str, activation: str = "sigmoid") -> NDArray[np.float64]:
    """Probabilities of a text, shape (L,), of those of its S segments, shape (S, L).

    `max`: the segment that has most of a label speaks for the text. `noisy_or`: 1 - prod(1 - p), as if segments were
    independent (Pearl 1988, section 4.3.2). `mean`; `top2_mean`: the mean of the two highest.
    Under the activation `softmax`, of which one label is true, they are scaled to sum to 1.

    Raises:
        BundleFormatError: for another method.
    """
    if method not in METHODS:
        raise BundleFormatError(f"unknown aggregation '{method}'; allowed: {', '.join(METHODS)}.")
    p = np.asarray(probabilities, dtype=np.float64)
    if method == "max":
        text = p.max(axis=0)
    elif method == "noisy_or":
        text = 1 - np.prod(1 - p, axis=0)
    elif method == "mean":
        text = p.mean(axis=0)
    else:
        text = np.sort(p, axis=0)[-2:].mean(axis=0)
    return np.asarray(text / text.sum() if activation == "softmax" else text)


@dataclass(frozen=True)
class Aggregation:
    """How the segments of a text are put together, and the thresholds for what comes out.

    Attributes:
        method: one of `METHODS`.
        policies: thresholds for texts by policy; None where none were fitted: those of a segment are taken then, which
            under `max` decides the union of what the segments decide.
        measured: what it was measured at on composed texts.
    """

    method: str = "max"
    policies: Policies | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise BundleFormatError(f"unknown aggregation '{self.method}'; allowed: {', '.join(METHODS)}.")

    def apply(self, probabilities: NDArray[np.floating], activation: str = "sigmoid") -> NDArray[np.float64]:
        """Probabilities of a text, shape (L,), of those of its S segments, shape (S, L); see `aggregate`."""
        return aggregate(probabilities, self.method, activation)

    def thresholds(self, policy: str, segment_policies: Policies) -> NDArray[np.float64]:
        """Thresholds for a text under `policy`, shape (L,): its own where they were fitted, else those of a segment."""
        if self.policies is not None and policy in self.policies.values:
            return self.policies.values[policy]
        return segment_policies.values[policy]

    def write(self, folder: Path) -> None:
        """Write `aggregation.json` into a bundle's folder."""
        thresholds = None if self.policies is None else self.policies.content()
        write_json(folder / FILE, {"method": self.method, "thresholds": thresholds, "measured": dict(self.measured)})

    @classmethod
    def read(cls, folder: Path) -> Aggregation:
        """Read `aggregation.json`; a bundle from before 0.2 has none, and gets `max` with the thresholds of a segment.

        Raises:
            BundleFormatError: when a field is missing or wrong.
        """
        if not (folder / FILE).is_file():
            return cls()
        content = read_json(folder / FILE)
        try:
            thresholds = content["thresholds"]
            policies = None if thresholds is None else Policies.of(thresholds, FILE)
            return cls(content["method"], policies, content["measured"])
        except (KeyError, TypeError) as error:
            raise BundleFormatError(f"{FILE} lacks or garbles {error}.") from error
