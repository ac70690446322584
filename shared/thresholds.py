"""Decision policies: from calibrated probabilities to yes or no for every label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import BundleFormatError, InvalidInputError
from shared.files import read_json, write_json

ARGMAX = "argmax"
"""The policy of single-label tasks: the one label with the highest probability."""
NOTHING = "none"
"""The policy of tasks that decide no labels."""
HIGHEST = "the highest probability"
"""What `thresholds.json` says of that policy in place of thresholds."""


def decide(probabilities: ArrayLike, thresholds: ArrayLike, *, argmax: bool = False) -> NDArray[np.bool_]:
    """Decisions p >= t, shape (N, L) or (L,), of probabilities of that shape and thresholds (L,).

    With `argmax` no label but that with the highest probability is decided, the first of several equal ones.
    """
    p = np.asarray(probabilities)
    decided = p >= np.asarray(thresholds)
    if argmax:
        decided = decided & (np.arange(p.shape[-1]) == p.argmax(axis=-1, keepdims=True))
    return np.asarray(decided, dtype=np.bool_)


@dataclass(frozen=True)
class Policies:
    """Named decision policies, each a threshold per label.

    Attributes:
        labels: names of the L labels, in order.
        values: policy name -> thresholds, shape (L,), each in 0..1; 0 for every label under `argmax`.
        fitted_on: the split the fitted policies come from.
        default: the policy used when none is named.
    """

    labels: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    fitted_on: str
    default: str = "f1"

    def __post_init__(self) -> None:
        if self.default not in self.values:
            raise BundleFormatError(f"the default policy '{self.default}' is not among {', '.join(self.values)}.")
        for name, thresholds in self.values.items():
            if thresholds.shape != (len(self.labels),):
                raise BundleFormatError(
                    f"policy '{name}' has {thresholds.size} thresholds for {len(self.labels)} labels."
                )
            if not ((thresholds >= 0) & (thresholds <= 1)).all():
                raise BundleFormatError(f"policy '{name}' has a threshold outside 0..1.")

    @classmethod
    def nothing(cls, labels: tuple[str, ...]) -> Policies:
        """For a task without decisions: the one policy `none`, whose thresholds no probability reaches."""
        return cls(labels, {NOTHING: np.ones(len(labels))}, "none", NOTHING)

    def get(self, name: str | None = None) -> NDArray[np.float64]:
        """Thresholds of a policy, shape (L,); the default policy for None.

        Raises:
            InvalidInputError: for an unknown name; the known ones are listed.
        """
        chosen = self.default if name is None else name
        if chosen not in self.values:
            raise InvalidInputError(f"unknown policy '{chosen}'.", hint=f"Allowed: {', '.join(self.values)}.")
        return self.values[chosen]

    def decide(self, probabilities: ArrayLike, name: str | None = None) -> NDArray[np.bool_]:
        """Decisions of a policy, the default one for None, of probabilities of shape (N, L) or (L,).

        Raises:
            InvalidInputError: for an unknown name; the known ones are listed.
        """
        return decide(probabilities, self.get(name), argmax=(name or self.default) == ARGMAX)

    def write(self, path: Path) -> None:
        """Write `thresholds.json`."""
        write_json(path, self.content())

    def content(self) -> dict[str, Any]:
        """The policies for JSON, readable as policy -> label -> threshold, with the rule itself for `argmax`."""
        policies: dict[str, Any] = {
            name: dict(zip(self.labels, (float(value) for value in thresholds), strict=True))
            for name, thresholds in self.values.items()
        }
        if ARGMAX in policies:
            policies[ARGMAX] = HIGHEST
        return {"default": self.default, "fitted_on": self.fitted_on, "policies": policies}

    @classmethod
    def read(cls, path: Path) -> Policies:
        """Read `thresholds.json`.

        Raises:
            BundleFormatError: when it is missing, not JSON, or its policies name different labels.
        """
        return cls.of(read_json(path), path.name)

    @classmethod
    def of(cls, content: Mapping[str, Any], name: str) -> Policies:
        """The policies that `content` of the file `name` holds.

        Raises:
            BundleFormatError: when a field is missing, or its policies name different labels.
        """
        try:
            policies = dict(content["policies"])
            labels = tuple(next(values for values in policies.values() if values != HIGHEST))
            if policies.get(ARGMAX) == HIGHEST:
                policies[ARGMAX] = dict.fromkeys(labels, 0.0)
            for policy, values in policies.items():
                if tuple(values) != labels:
                    raise BundleFormatError(f"{name}: policy '{policy}' names other labels than the first policy.")
            arrays = {name: np.asarray(list(values.values()), dtype=np.float64) for name, values in policies.items()}
            return cls(labels, arrays, content["fitted_on"], content["default"])
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise BundleFormatError(f"{name} lacks or garbles {error}.") from error
