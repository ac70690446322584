"""What a model is for: labels that hold together, one label a text, or how intense each label is.

Everything that depends on it asks here, or asks the objects that are made for it.
"""

from __future__ import annotations

from enum import StrEnum

from shared.errors import ConfigError


class Task(StrEnum):
    """The tasks, by the names that `bundle.json` has for them."""

    MULTI_LABEL = "multi_label"
    SINGLE_LABEL = "single_label"
    INTENSITY = "intensity"

    @property
    def decides(self) -> bool:
        """Whether labels are decided, by calibrated probabilities and thresholds."""
        return self is not Task.INTENSITY

    @property
    def files(self) -> tuple[str, ...]:
        """Files of a bundle that hold what its logits mean."""
        return ("calibration.json", "thresholds.json") if self.decides else ("intensity.json",)


def require_labels(task: str, what: str) -> None:
    """Refuse what needs decided labels.

    Args:
        task: of a run or a bundle.
        what: the command or option, for the message.

    Raises:
        ConfigError: when the task is intensity.
    """
    if not Task(task).decides:
        raise ConfigError(
            f"{what} works on decided labels, and the task here is intensity.",
            hint="See docs/intensity.md for what goes with intensities.",
        )
