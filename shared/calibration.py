"""From logits to calibrated probabilities: sigmoid and temperature scaling, applied, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import BundleFormatError
from shared.files import read_json, write_json

METHODS = ("none", "temperature", "temperature_per_label", "bias_corrected_temperature")
ACTIVATIONS = ("sigmoid", "softmax")


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-z)) in float64, without overflow for any z."""
    z = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """exp(z) normalised over the last axis, in float64."""
    z = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling p = sigmoid(z / T + b), or softmax(z / T + b) for single-label tasks (Guo et al. 2017).

    The biases b are 0 but under the method `bias_corrected_temperature` (Alexandari et al. 2020), which a training fits
    where it is asked to, and adapting a bundle to other texts always.

    Attributes:
        method: one of `METHODS`.
        temperatures: T of every label, shape (L,), all positive.
        activation: `sigmoid` or `softmax`.
        fitted_on: the split it was fitted on, None for the identity.
        before: NLL, Brier score and calibration error before scaling.
        after: the same after scaling.
        biases: b of every label, shape (L,); 0 when left out.
    """

    method: str
    temperatures: NDArray[np.float64]
    activation: str = "sigmoid"
    fitted_on: str | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    biases: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise BundleFormatError(f"unknown calibration method '{self.method}'; allowed: {', '.join(METHODS)}.")
        if self.activation not in ACTIVATIONS:
            raise BundleFormatError(f"unknown activation '{self.activation}'; allowed: {', '.join(ACTIVATIONS)}.")
        if not (np.isfinite(self.temperatures).all() and (self.temperatures > 0).all()):
            raise BundleFormatError("calibration temperatures must be positive and finite.")
        if not np.isfinite(self.biases).all():
            raise BundleFormatError("calibration biases must be finite.")
        if self.biases.any() and self.method != "bias_corrected_temperature":
            raise BundleFormatError(f"calibration biases do not go with the method '{self.method}'.")
        if self.biases.shape not in (self.temperatures.shape, (1,)):
            raise BundleFormatError(
                f"calibration.json has {self.biases.size} biases for {self.temperatures.size} temperatures."
            )

    @classmethod
    def identity(cls, num_labels: int, activation: str = "sigmoid") -> Calibration:
        """No scaling: every temperature is 1."""
        return cls("none", np.ones(num_labels), activation)

    def apply(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (N, L), of logits of shape (N, L)."""
        scaled = self.scores(logits)
        return softmax(scaled) if self.activation == "softmax" else sigmoid(scaled)

    def scores(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Calibrated logits z / T + b, shape (N, L)."""
        return np.asarray(logits, dtype=np.float64) / self.temperatures + self.biases

    def logits(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Logits, shape (N, L), that have these probabilities; after softmax with the largest log probability at 0.

        A probability that has rounded to 0 or 1 gives the logit of the nearest one that has not.
        """
        p = np.clip(np.asarray(probabilities, dtype=np.float64), np.finfo(np.float64).tiny, 1.0)
        scores = np.log(p)
        if self.activation == "sigmoid":
            scores -= np.log(np.maximum(1.0 - p, np.finfo(np.float64).epsneg))
        return np.asarray((scores - self.biases) * self.temperatures)

    def write(self, path: Path) -> None:
        """Write `calibration.json`."""
        biases = {"biases": [float(value) for value in self.biases]} if self.biases.any() else {}
        content = {
            "method": self.method,
            "activation": self.activation,
            "temperatures": [float(value) for value in self.temperatures],
            **biases,
            "fitted_on": self.fitted_on,
            "before": dict(self.before),
            "after": dict(self.after),
        }
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read `calibration.json`.

        Raises:
            BundleFormatError: when it is missing, not JSON, or has wrong values.
        """
        content = read_json(path)
        try:
            return cls(
                method=content["method"],
                temperatures=np.asarray(content["temperatures"], dtype=np.float64),
                activation=content["activation"],
                fitted_on=content["fitted_on"],
                before=content["before"],
                after=content["after"],
                biases=np.asarray(content.get("biases", [0.0]), dtype=np.float64),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleFormatError(f"{path.name} lacks or garbles {error}.") from error
