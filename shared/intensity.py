"""From logits to intensities on a scale, with intervals: what a bundle of the task `intensity` holds and computes.

Shapes: N texts, L labels, K levels of an ordinal scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.calibration import sigmoid
from shared.errors import BundleFormatError, ConfigError
from shared.files import read_json, write_json

FILE = "intensity.json"
MOST_LEVELS = 101

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Values that an intensity may have: every one from `low` to `high`, or those of an ordinal scale `step` apart.

    Raises:
        ConfigError: when low is not below high, or the step does not divide the range.
    """

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise ConfigError(f"a scale from {self.low:g} to {self.high:g} is empty: the first end must be below.")
        if self.step is None:
            return
        steps = (self.high - self.low) / self.step if self.step > 0 else 0.0
        if not (abs(steps - round(steps)) < 1e-6 and 1 <= round(steps) < MOST_LEVELS):
            raise ConfigError(
                f"the step {self.step:g} does not divide the scale from {self.low:g} to {self.high:g} into whole steps "
                f"(at most {MOST_LEVELS - 1})."
            )

    @classmethod
    def parse(cls, said: str) -> Scale:
        """The scale in `low:high`, or `low:high:step` for an ordinal one, such as `0:1` and `0:3:1`.

        Raises:
            ConfigError: for anything else.
        """
        try:
            numbers = [float(part) for part in said.split(":")]
            if len(numbers) not in (2, 3):
                raise ValueError
        except ValueError:
            raise ConfigError(
                f"data.scale is {said!r}; expected low:high, or low:high:step for an ordinal scale.",
                hint="For example 0:1, or 0:3:1.",
            ) from None
        return cls(*numbers)

    @classmethod
    def of(cls, content: Any) -> Scale:
        """The scale that `bundle.json` holds.

        Raises:
            BundleFormatError: when it is none.
        """
        try:
            step = content["step"]
            return cls(float(content["low"]), float(content["high"]), None if step is None else float(step))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise BundleFormatError(f"'scale' of the bundle lacks or garbles {error}.") from error

    def __str__(self) -> str:
        steps = "" if self.step is None else f" in steps of {self.step:g}"
        return f"{self.low:g} to {self.high:g}{steps}"

    @property
    def num_levels(self) -> int | None:
        """K of an ordinal scale; None for a continuous one."""
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def values(self, shares: ArrayLike) -> Floats:
        """Values of shares 0..1 of the range, of any shape."""
        return self.low + (self.high - self.low) * np.asarray(shares, dtype=np.float64)

    def shares(self, values: ArrayLike) -> Floats:
        """Shares 0..1 of the range of values, of any shape."""
        return (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)

    def to_json(self) -> dict[str, float | None]:
        """For `bundle.json` and answers."""
        return {"low": self.low, "high": self.high, "step": self.step}


def shares_of(logits: ArrayLike, cuts: ArrayLike) -> Floats:
    """Shares of the range, shape (N, L): the mean over K-1 cuts of P(Y > level k) = sigmoid(z - cut_k).

    With one cut at 0 that is sigmoid(z), the bounded regression. With K-1 cuts it is the expected level of the
    proportional-odds model (McCullagh 1980, "Regression models for ordinal data", JRSS B 42) over K-1.

    Args:
        logits: z, shape (N, L).
        cuts: shape (L, K-1).
    """
    z, c = np.asarray(logits, dtype=np.float64), np.asarray(cuts, dtype=np.float64)
    found = np.empty(z.shape)
    for label, of_label in enumerate(c):  # a label at a time: N times K-1 numbers at once, not N times L times K-1
        found[:, label] = sigmoid(z[:, label, None] - of_label).mean(axis=1)
    return found


@dataclass(frozen=True)
class Readout:
    """What the logits of a bundle mean.

    Attributes:
        labels: names of the L labels, in order.
        scale: of the intensities.
        cuts: of every label, rising, shape (L, K-1): P(Y > level k) = sigmoid(z - cut_k); zeros of shape (L, 1) for
            bounded regression.
        interval_level: share of intervals that are to hold the true intensity, in 0..1.
        half_widths: of the intervals of each label, in units of the scale, shape (L,); infinite where too few rows
            were annotated to say anything.
        fitted_rows: rows that each half width was fitted on, shape (L,).
        fitted_on: their split.
    """

    labels: tuple[str, ...]
    scale: Scale
    cuts: Floats
    interval_level: float
    half_widths: Floats
    fitted_rows: NDArray[np.int64]
    fitted_on: str = "dev"
    method: str = field(default="split conformal, absolute residuals")

    def __post_init__(self) -> None:
        number = len(self.labels)
        if self.cuts.ndim != 2 or len(self.cuts) != number or not self.cuts.shape[1]:
            raise BundleFormatError(f"{FILE} has cuts of shape {self.cuts.shape} for {number} labels.")
        if not np.isfinite(self.cuts).all() or (np.diff(self.cuts, axis=1) <= 0).any():
            raise BundleFormatError(f"{FILE}: the cuts of a label must be finite and rise.")
        if self.ordinal and self.cuts.shape[1] + 1 != self.scale.num_levels:
            raise BundleFormatError(
                f"{FILE} has {self.cuts.shape[1]} cuts a label for {self.scale.num_levels} levels ({self.scale})."
            )
        if self.half_widths.shape != (number,) or not (self.half_widths >= 0).all():
            raise BundleFormatError(f"{FILE}: expected one half width of 0 or more for each of {number} labels.")
        if not 0 < self.interval_level < 1:
            raise BundleFormatError(f"{FILE}: the level of the intervals is {self.interval_level}, not within 0..1.")

    @property
    def ordinal(self) -> bool:
        """Whether the head is a cumulative link, which gives every level a probability."""
        return self.cuts.shape[1] > 1 or bool(self.cuts.any())

    def intensities(self, logits: ArrayLike) -> Floats:
        """Intensities on the scale, shape (N, L), of logits of that shape; expected ones under a cumulative link."""
        return self.scale.values(shares_of(logits, self.cuts))

    def level_probabilities(self, logits: ArrayLike, label: int) -> Floats:
        """P(Y = level) of one label, shape (N, K), of logits of shape (N, L); for a cumulative link."""
        above = sigmoid(np.asarray(logits, dtype=np.float64)[:, label, None] - self.cuts[label])
        ends = np.ones((len(above), 1)), np.zeros((len(above), 1))
        return np.asarray(-np.diff(np.concatenate([ends[0], above, ends[1]], axis=1), axis=1))

    def levels(self, logits: ArrayLike) -> Floats | None:
        """The level decided, on the scale, shape (N, L); None for a continuous scale.

        Under a cumulative link one more than the cuts with P(Y > level k) > 0.5 (Cao et al. 2020, equation 1), which is
        the median; in bounded regression the nearest level.
        """
        scale = self.scale
        if scale.step is None or scale.num_levels is None:
            return None
        if self.ordinal:
            counts = (np.asarray(logits, dtype=np.float64)[:, :, None] > self.cuts).sum(axis=2)
        else:
            counts = np.floor(shares_of(logits, self.cuts) * (scale.num_levels - 1) + 0.5)
        return np.asarray(scale.low + scale.step * counts, dtype=np.float64)

    def intervals(self, intensities: ArrayLike) -> tuple[Floats, Floats]:
        """Lower and upper ends within the scale, both of shape (N, L), around intensities of that shape."""
        values = np.asarray(intensities, dtype=np.float64)
        low, high = values - self.half_widths, values + self.half_widths
        return np.clip(low, self.scale.low, self.scale.high), np.clip(high, self.scale.low, self.scale.high)

    def write(self, folder: Path) -> None:
        """Write `intensity.json`."""
        by_label = {
            name: {
                "cuts": [float(cut) for cut in self.cuts[place]] if self.ordinal else None,
                "half_width": float(self.half_widths[place]) if np.isfinite(self.half_widths[place]) else None,
                "fitted_rows": int(self.fitted_rows[place]),
            }
            for place, name in enumerate(self.labels)
        }
        content = {
            "link": "cumulative" if self.ordinal else "bounded",
            "interval": {"level": self.interval_level, "method": self.method, "fitted_on": self.fitted_on},
            "labels": by_label,
        }
        write_json(folder / FILE, content)

    @classmethod
    def read(cls, folder: Path, scale: Scale) -> Readout:
        """Read `intensity.json` of a bundle's folder.

        Raises:
            BundleFormatError: when it is missing, not JSON, or has wrong values.
        """
        content = read_json(folder / FILE)
        try:
            rows: Mapping[str, Any] = content["labels"]
            interval = content["interval"]
            widths = [row["half_width"] for row in rows.values()]
            return cls(
                labels=tuple(rows), scale=scale, cuts=_cuts([row["cuts"] for row in rows.values()]),
                interval_level=float(interval["level"]),
                half_widths=np.array([np.inf if width is None else width for width in widths], dtype=np.float64),
                fitted_rows=np.array([row["fitted_rows"] for row in rows.values()], dtype=np.int64),
                fitted_on=str(interval["fitted_on"]), method=str(interval["method"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleFormatError(f"{FILE} lacks or garbles {error}.") from error


def no_cuts(num_labels: int) -> Floats:
    """The cuts of bounded regression, shape (L, 1): P = sigmoid(z)."""
    return np.zeros((num_labels, 1))


def _cuts(given: Sequence[Sequence[float] | None]) -> Floats:
    if all(cuts is None for cuts in given):
        return no_cuts(len(given))
    return np.array(given, dtype=np.float64)
