"""Types of numbers with their limits: the parser refuses what is outside and says what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Bounds:
    """Limits of a number, the metadata of an `Annotated` type; None is no limit."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def allow(self, value: float) -> bool:
        """Whether a number is within; NaN never is."""
        return (
            value == value  # noqa: PLR0124  (false for NaN alone)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        limits = {">": self.above, ">=": self.at_least, "<": self.below, "<=": self.at_most}
        return " and ".join(
            f"{sign} {limit if isinstance(limit, int) else format(limit, 'g')}"
            for sign, limit in limits.items()
            if limit is not None
        )


PositiveInt = Annotated[int, Bounds(above=0)]
NonNegativeInt = Annotated[int, Bounds(at_least=0)]
TwoOrMore = Annotated[int, Bounds(at_least=2)]
Seed = Annotated[int, Bounds(at_least=0, below=2**32)]
"""What NumPy and torch take for a seed."""
PositiveFloat = Annotated[float, Bounds(above=0)]
OneOrMore = Annotated[float, Bounds(at_least=1)]
NonNegativeFloat = Annotated[float, Bounds(at_least=0)]
Share = Annotated[float, Bounds(at_least=0, at_most=1)]
ShareBelowOne = Annotated[float, Bounds(at_least=0, below=1)]
OpenShare = Annotated[float, Bounds(above=0, below=1)]
ShareAboveZero = Annotated[float, Bounds(above=0, at_most=1)]
Dropout = ShareBelowOne
"""A probability of dropout: with 1 nothing would be left."""
