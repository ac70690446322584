"""The same run with several seeds: how much of a figure is chance."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from shared.errors import ConfigError
from training.config.experiments import SweepOptions
from training.experiments.results import row_of, write_plot, write_results
from training.experiments.summary import Summary, summarise
from training.experiments.trials import FIGURES, Outcome, base_config, experiment_folder, make_trial, run_trials


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
    return write_repeated(folder, run_trials(trials))


def write_repeated(folder: Path, outcomes: list[Outcome]) -> str:
    """The table of runs that differ in nothing but chance, with the mean of every figure and its interval."""
    summary = summarise(outcomes)
    lines = [f"{split} {name}: {found.text()}" for split, figures in summary.items() for name, found in figures.items()]
    lines.append("mean +- standard deviation over runs [95 % interval of the mean, Student's t]")
    measure = FIGURES[0]
    values, intervals = {outcome.name: outcome.figure(measure) for outcome in outcomes}, {}
    mean = summary["dev"][measure]
    values["mean"] = mean.mean
    if mean.low is not None and mean.high is not None:
        intervals["mean"] = (mean.low, mean.high)
    write_plot(folder, values, label="macro F1 on dev", intervals=intervals)
    return write_results(folder, [row_of(outcome) for outcome in outcomes], lines=["", *lines], summary=_plain(summary))


def _plain(summary: dict[str, dict[str, Summary]]) -> dict[str, dict[str, dict[str, float | None]]]:
    return {split: {name: asdict(found) for name, found in figures.items()} for split, figures in summary.items()}
