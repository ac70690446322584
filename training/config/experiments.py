"""What a user can say about many runs: seeds, folds, phases; and about the rates of a range test."""

from __future__ import annotations

from dataclasses import dataclass, field

from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt

from training.config import Config


@dataclass(frozen=True)
class SweepConfig:
    """Which seeds."""

    seeds: list[NonNegativeInt] = field(default_factory=lambda: [1, 2, 3])
    """Seeds of the runs; they share data and splits."""


@dataclass(frozen=True)
class SweepOptions(Config):
    """Options of `python -m training.sweep`: those of a run, and which seeds."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    """Which seeds."""


@dataclass(frozen=True)
class KFoldConfig:
    """How many folds."""

    folds: PositiveInt = 5
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
    baseline: ClosedUnitInterval | None = None
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
