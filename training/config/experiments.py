"""What a user can say about many runs: seeds, folds, phases; and about the rates of a range test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.errors import ConfigError
from training.config.schema import Config
from training.config.types import NonNegativeInt, PositiveFloat, PositiveInt, Seed, Share, TwoOrMore

COMMANDS = {
    "sweep": "training.sweep", "teachers": "training.distill", "kfold": "training.kfold", "phases": "training.phases",
    "range": "training.lr_range", "search": "training.search",
}  # fmt: skip
"""Section that an experiment adds to those of a run -> module of its command."""

_NOT_SEARCHED = ("run.", "search.", "preflight.")


@dataclass(frozen=True)
class SweepConfig:
    """Which seeds."""

    seeds: list[Seed] = field(default_factory=lambda: [1, 2, 3])
    """Seeds of the runs; they share data and splits."""


@dataclass(frozen=True)
class SweepOptions(Config):
    """Options of `python -m training.sweep`: those of a run, and which seeds."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    """Which seeds."""


@dataclass(frozen=True)
class TeachersConfig:
    """The teachers that are trained first."""

    recipe: str | None = None
    """Recipe of the teachers, a YAML file or its name, such as goemotions_base; data and run.* are the student's. The
    student's own recipe when left out."""
    seeds: list[Seed] = field(default_factory=lambda: [1, 2])
    """Seeds of the teachers, one run each; [] trains none and takes those in distill.teachers alone."""
    side_by_side: PositiveInt = 1
    """Runs that train at the same time, each in a process with its share of the CPU cores, or all on one card."""
    compare: bool = True
    """Train the student without a teacher too, to compare with."""
    student_seeds: list[Seed] = field(default_factory=list)
    """Seeds of the student, one run each, and of it alone, for means and their intervals; run.seed when left out."""


@dataclass(frozen=True)
class DistillOptions(Config):
    """Options of `python -m training.distill`: those of the student's run, and which teachers."""

    teachers: TeachersConfig = field(default_factory=TeachersConfig)
    """The teachers that are trained first."""


@dataclass(frozen=True)
class KFoldConfig:
    """How many folds."""

    folds: TwoOrMore = 5
    """Runs, and parts of the pooled train and dev rows; each is dev in one run. Test, where there is one, stays."""


@dataclass(frozen=True)
class KFoldOptions(Config):
    """Options of `python -m training.kfold`: those of a run, and how many folds."""

    kfold: KFoldConfig = field(default_factory=KFoldConfig)
    """How many folds."""


@dataclass(frozen=True)
class PhasesConfig:
    """Size of each phase."""

    screen_rows: PositiveInt = 20_000
    """Phase 1: training rows of the stratified subset."""
    screen_epochs: PositiveFloat = 2.0
    """Phase 1: passes over them."""
    keep: PositiveInt = 2
    """Phase 3: how many of the losses are trained again, the best on dev."""
    final_rows: PositiveInt = 30_000
    """Phase 3: training rows."""
    final_epochs: PositiveFloat = 3.0
    """Phase 3: passes over them."""
    baseline: Share | None = None
    """Phase 2: macro F1 to compare with; that of plain bce when left out."""


@dataclass(frozen=True)
class PhasesOptions(Config):
    """Options of `python -m training.phases`: those of a run, and the size of each phase."""

    phases: PhasesConfig = field(default_factory=PhasesConfig)
    """Size of each phase."""


@dataclass(frozen=True)
class RangeConfig:
    """The rates that are tried."""

    low: PositiveFloat = 1e-6
    """First learning rate."""
    high: PositiveFloat = 1e-3
    """Last learning rate; between them it grows by the same factor every step."""
    steps: PositiveInt = 100
    """Optimiser steps, of one batch of `optim.batch_size` rows each."""


@dataclass(frozen=True)
class RangeOptions(Config):
    """Options of `python -m training.lr_range`: those of a run, and the rates that are tried."""

    range: RangeConfig = field(default_factory=RangeConfig)
    """The rates that are tried."""


@dataclass(frozen=True)
class Dimension:
    """One key and the values to try."""

    key: str = ""
    """Key of the configuration, such as optim.lr."""
    low: float | None = None
    """Lowest value."""
    high: float | None = None
    """Highest value."""
    log: bool = False
    """Try values evenly in their logarithm, as suits learning rates."""
    whole: bool = False
    """Try whole numbers alone."""
    choices: list[str | int | float] | None = None
    """Values to choose from, in place of low and high."""

    def check(self) -> None:
        """Refuse what cannot be tried.

        Raises:
            ConfigError: when the key may not be searched or the range is none.
        """
        if not self.key or self.key.startswith(_NOT_SEARCHED):
            raise ConfigError(
                f"search.space has an entry with the key {self.key!r}; allowed is any key but those of run, search "
                "and preflight."
            )
        if self.choices is not None:
            if not self.choices or (self.low, self.high) != (None, None):
                raise ConfigError(f"search.space: {self.key} needs either choices, or low and high.")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise ConfigError(
                f"search.space: {self.key} has low {self.low} and high {self.high}; low must be below high."
            )
        elif self.log and self.low <= 0:
            raise ConfigError(f"search.space: {self.key} has low {self.low}; with log it must be above 0.")

    def examples(self) -> Sequence[str | int | float]:
        """Values that stand for all: every choice, or the ends of a range and one within, which is seldom whole."""
        if self.choices is not None:
            return self.choices
        low, high = self.low or 0.0, self.high or 0.0
        return [int(low), int(high)] if self.whole else [low, high, low + (high - low) / math.pi]


def default_space() -> list[Dimension]:
    """Rates, weight decay and loss."""
    return [
        Dimension("optim.lr", 5e-5, 1e-3, log=True),
        Dimension("optim.head_lr", 5e-4, 1e-2, log=True),
        Dimension("optim.weight_decay", 0.0, 0.1),
        Dimension("loss.name", choices=["bce", "asymmetric", "combined"]),
    ]


@dataclass(frozen=True)
class SearchConfig:
    """Which keys are tried, and for how long."""

    trials: PositiveInt = 20
    """Runs in all, those stopped early and those of an earlier start of this search included."""
    space: list[Dimension] = field(default_factory=default_space)
    """Keys with the values to try."""
    random_trials: PositiveInt = 8
    """Runs with values drawn at random, before earlier ones guide the choice (TPE, Bergstra et al. 2011)."""
    prune_after_trials: NonNegativeInt = 4
    """From so many finished runs on, a run whose macro F1 on dev is below their median at that epoch is stopped."""
    prune_after_epochs: NonNegativeInt = 1
    """No run is stopped before it has made so many epochs."""


@dataclass(frozen=True)
class SearchOptions(Config):
    """Options of `python -m training.search`: those of a run, and which keys are tried."""

    search: SearchConfig = field(default_factory=SearchConfig)
    """Which keys are tried, and for how long."""
