"""What a user can say about the checks before training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

CheckName = Literal[
    "versions", "disk", "labels", "leaks", "lengths", "initial_loss", "outputs", "one_batch", "gradients"
]
"""The checks that can be skipped, in the order in which they run."""


@dataclass(frozen=True)
class PreflightConfig:
    """Checks before anything expensive."""

    skip: list[CheckName] = field(default_factory=list)
    """Checks to leave out, such as [labels, one_batch]; a failed one says its name."""
