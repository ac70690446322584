"""Stratified k-fold cross-validation: every row is held out once."""

from __future__ import annotations

from dataclasses import replace

from shared.errors import ConfigError
from training.config.experiments import KFoldOptions
from training.experiments.seeds import write_repeated
from training.experiments.trials import base_config, experiment_folder, make_trial, run_trials


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
