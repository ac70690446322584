"""Search for the values of some keys that give the best macro F1 on dev; a stopped search is continued."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from transformers import TrainerCallback

from shared.errors import EmotionError
from training.config import Config
from training.config.experiments import Dimension, SearchOptions
from training.config.parser import varied
from training.experiments.results import write_plot, write_results
from training.experiments.trials import Outcome, base_config, check_same, experiment_folder, make_trial, run_trial
from training.runtime.run_folder import RunFolder

ERROR = "error"
"""Attribute of a trial that failed by itself, in place of being killed."""


class Pruning(TrainerCallback):
    """Reports macro F1 on dev after every epoch and ends a run that is not worth its time."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_evaluate(self, args: Any, state: Any, control: Any, **details: Any) -> None:
        """Report, and stop where the pruner says so.

        Raises:
            TrialPruned: ends the run.
        """
        self.trial.report(details["metrics"]["eval_macro_f1"], step=round(state.epoch))
        if self.trial.should_prune():
            raise optuna.TrialPruned


@dataclass(frozen=True)
class Search:
    """A study and the configuration its trials vary."""

    options: SearchOptions
    folder: Path
    study: optuna.Study

    @classmethod
    def open(cls, options: SearchOptions) -> Search:
        """Start a search, or take up the one in its folder: trials that were killed are queued again.

        Raises:
            ConfigError: for a key or a range that cannot be searched.
        """
        search = options.search
        _check_space(base_config(options), search.space)
        folder = experiment_folder(options, "search")
        base = RunFolder(folder)
        if base.config.is_file():
            check_same(base, base_config(options))
        base_config(options).write(base.config)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name="search",
            storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))),
            direction="maximize",
            load_if_exists=True,
        )
        # each start draws on from where it is, or it would draw the values of the first trials again
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=search.random_trials, seed=options.run.seed + len(study.trials)
        )
        study.pruner = optuna.pruners.MedianPruner(search.prune_after_trials, n_warmup_steps=search.prune_after_epochs)
        for killed in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(killed.number, state=TrialState.FAIL)
            study.enqueue_trial(killed.params)
        return cls(options, folder, study)

    @property
    def done(self) -> list[FrozenTrial]:
        """Trials that count: finished, stopped early, or failed by themselves."""
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        return [trial for trial in self.study.trials if trial.state in ended or ERROR in trial.user_attrs]

    def run_next(self) -> None:
        """Run one trial.

        Raises:
            EmotionError: when it fails and none was finished before, so that the cause may lie in all of them.
        """
        trial = self.study.ask()
        values = {dimension.key: _suggest(trial, dimension) for dimension in self.options.search.space}
        folder = RunFolder(self.folder / _name(values))
        print(f"[{len(self.done) + 1}/{self.options.search.trials}] {folder.path}: {values}", file=sys.stderr)
        try:
            outcome = self._run(trial, values)
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            shutil.rmtree(folder.checkpoints, ignore_errors=True)
        except EmotionError as error:
            trial.set_user_attr(ERROR, str(error))
            self.study.tell(trial, state=TrialState.FAIL)
            if not self.study.get_trials(states=(TrialState.COMPLETE,)):
                raise
            print(f"failed: {error}", file=sys.stderr)
        else:
            self.study.tell(trial, outcome.metric())

    def _run(self, trial: optuna.Trial, values: Mapping[str, Any]) -> Outcome:
        config = _varied(base_config(self.options), values)
        return run_trial(make_trial(config, self.folder, _name(values)), callbacks=[Pruning(trial)])

    def write(self) -> str:
        """Write table, plot and the best configuration; the text of the table is returned."""
        rows = [_row(trial) for trial in self.done]
        finished = [row for row in rows if row["state"] == "complete"]
        if not finished:
            return write_results(self.folder, rows, lines=["", "No run was finished."])
        write_plot(
            self.folder, {f"{row['trial']}: {row['run']}": row["dev_macro_f1"] for row in finished},
            label="macro F1 on dev",
        )  # fmt: skip
        best = self.study.best_trial
        config = _varied(base_config(self.options), best.params)
        replace(config, run=replace(config.run, resume=False)).write(self.folder / "best.yaml")
        line = f"Best macro F1 on dev: {best.value:.4f}, with {best.params}; {self.folder / 'best.yaml'}"
        return write_results(self.folder, rows, lines=["", line], best=dict(best.params))


def run_search(options: SearchOptions) -> str:
    """Run trials until there are as many as asked for; the text of the table is returned.

    Raises:
        EmotionError: for a space that cannot be searched, and when the first trial fails.
    """
    search = Search.open(options)
    while len(search.done) < options.search.trials:
        search.run_next()
    return search.write()


def _check_space(config: Config, space: Sequence[Dimension]) -> None:
    """Refuse a space before anything is run: the values of each key are tried beside the first ones of the others.

    Raises:
        ConfigError: for a key or a range that cannot be searched, and values that do not go together.
    """
    for dimension in space:
        dimension.check()
    first = {dimension.key: dimension.examples()[0] for dimension in space}
    for dimension in space:
        for value in dimension.examples():
            _varied(config, {**first, dimension.key: value})


def _varied(config: Config, values: Mapping[str, Any]) -> Config:
    return varied(config, values, "in search.space")


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    if dimension.choices is not None:
        return trial.suggest_categorical(dimension.key, dimension.choices)
    low, high = float(dimension.low or 0.0), float(dimension.high or 0.0)
    if dimension.whole:
        return trial.suggest_int(dimension.key, int(low), int(high), log=dimension.log)
    return trial.suggest_float(dimension.key, low, high, log=dimension.log)


def _name(values: Mapping[str, Any]) -> str:
    """Folder of the run with these values: the same one when a killed trial is run again."""
    return "trial-" + hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def _row(trial: FrozenTrial) -> dict[str, Any]:
    last = max(trial.intermediate_values, default=None)
    value = trial.value if trial.value is not None else None if last is None else trial.intermediate_values[last]
    return {
        "trial": trial.number, "run": _name(trial.params), "state": trial.state.name.lower(), "dev_macro_f1": value,
        **trial.params,
    }  # fmt: skip
