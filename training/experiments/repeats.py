"""The same run repeated, with several seeds or folds: how much of a metric is chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from shared.errors import ConfigError
from training.config.experiments import KFoldOptions, SweepOptions
from training.experiments.results import row_of, write_comparison, write_plot, write_results
from training.experiments.trials import METRICS, Outcome, base_config, experiment_folder, make_trial, run_trials


def sweep_seeds(options: SweepOptions) -> str:
    """Run every seed and write the table with means and intervals; its text is returned.

    Raises:
        ConfigError: when no seed is given, or one twice.
        EmotionError: whatever a run raises.
    """
    seeds = options.sweep.seeds
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"sweep.seeds is {seeds}; allowed is a list of different seeds, at least one.")
    config, folder = base_config(options), experiment_folder(options, "sweep")
    trials = [make_trial(config, folder, f"seed-{seed}", run=replace(config.run, seed=seed)) for seed in seeds]
    outcomes = run_trials(trials)
    return write_repeated(folder, outcomes, further=write_comparison(folder, outcomes))


def write_repeated(folder: Path, outcomes: list[Outcome], *, further: Sequence[str] = ()) -> str:
    """The table of runs that differ in nothing but chance, with the mean of every metric and its interval.

    Args:
        folder: of the experiment.
        outcomes: the runs.
        further: lines said below the table.
    """
    summary = summarise(outcomes)
    lines = [*as_lines(summary), MEANS]
    measure = METRICS[0]
    values, intervals = {outcome.name: outcome.metric(measure) for outcome in outcomes}, {}
    mean = summary["dev"][measure]
    values["mean"] = mean.mean
    if mean.low is not None and mean.high is not None:
        intervals["mean"] = (mean.low, mean.high)
    write_plot(folder, values, label="macro F1 on dev", intervals=intervals)
    return write_results(
        folder, [row_of(outcome) for outcome in outcomes], lines=["", *lines, *further], summary=plain(summary)
    )


def run_folds(options: KFoldOptions) -> str:
    """Run every fold and write the table with means and intervals; its text is returned.

    Raises:
        ConfigError: for fewer than two folds.
        EmotionError: whatever a run raises.
    """
    folds = options.kfold.folds
    if folds < 2:
        raise ConfigError(f"kfold.folds is {folds}; it must be 2 or more.")
    config, folder = base_config(options), experiment_folder(options, "kfold")
    trials = [
        make_trial(config, folder, f"fold-{fold}-of-{folds}", data=replace(config.data, folds=folds, fold=fold))
        for fold in range(1, folds + 1)
    ]
    return write_repeated(folder, run_trials(trials))


LEVEL = 0.95
MEANS = "mean +- standard deviation over runs [95 % interval of the mean, Student's t]"


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (n - 1) of n values, and Student's interval of the mean; none for a single value."""

    count: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float], level: float = LEVEL) -> Summary:
        """The mean, and mean +- t(level, n - 1) s / sqrt(n) (Student 1908): for runs that differ by chance alone."""
        count, mean = len(values), float(np.mean(values))
        if count < 2:
            return cls(count, mean, None, None, None)
        deviation = float(np.std(values, ddof=1))
        half = float(student_t.ppf((1 + level) / 2, count - 1)) * deviation / count**0.5
        return cls(count, mean, deviation, mean - half, mean + half)

    def text(self) -> str:
        """The summary as a cell of a table."""
        if self.deviation is None:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} +- {self.deviation:.4f} [{self.low:.4f}, {self.high:.4f}]"


def summarise(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Summary]]:
    """Split -> metric -> summary, of the splits and metrics that every run has."""
    summaries = {}
    for split in outcomes[0].metrics:
        if all(split in outcome.metrics for outcome in outcomes):
            values = [outcome.compared(split) for outcome in outcomes]
            names = [name for name in METRICS if all(name in found for found in values)]
            summaries[split] = {name: Summary.of([found[name] for found in values]) for name in names}
    return summaries


def as_lines(summary: Mapping[str, Mapping[str, Summary]], name: str = "") -> list[str]:
    """One line a split and metric, after the name of what was repeated; `MEANS` explains them."""
    return [
        f"{name}{split} {metric}: {found.text()}"
        for split, metrics in summary.items()
        for metric, found in metrics.items()
    ]


def plain(summary: Mapping[str, Mapping[str, Summary]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """The same for JSON."""
    return {split: {name: asdict(found) for name, found in metrics.items()} for split, metrics in summary.items()}
