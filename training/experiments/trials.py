"""One run of an experiment: started, continued where it was left, or taken as it was finished."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from transformers import TrainerCallback

from shared.bundle import Bundle
from shared.cli import default_threads
from shared.errors import ConfigError, TrainingError
from shared.task import require_labels
from training.config import Config
from training.data.load import load_data
from training.run import run
from training.runtime import processes
from training.runtime.resources import keep_freed_memory
from training.runtime.run_folder import RunFolder

METRICS = ("macro_f1", "nested_macro_f1", "macro_ap", "micro_f1", "samples_f1", "brier", "nll", "ece_pooled")
"""What is compared where a split has it; the first is what is chosen by, the second dev has: with thresholds from other
rows."""

SAME_COMMAND = "the same command as before; it takes finished runs as they are and goes on with this one"
"""What resumes a run of an experiment: resumed by itself, the others would not follow."""

_fingerprints: dict[str, str] = {}


@dataclass(frozen=True)
class Trial:
    """A run to be made; its folder is `config.run_dir`."""

    name: str
    config: Config


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        name: of its trial.
        config: what it was run with.
        bundle: folder of its bundle.
        metrics: the bundle's metrics by split.
    """

    name: str
    config: Config
    bundle: Path
    metrics: dict[str, Any]

    def metric(self, name: str = METRICS[0], split: str = "dev") -> float:
        """One metric of one split."""
        return self.compared(split)[name]

    def compared(self, split: str) -> dict[str, float]:
        """Those of `METRICS` that a split has."""
        found = self.metrics[split]
        values = {**found, **{f"nested_{name}": value for name, value in found.get("nested", {}).items()}}
        return {name: float(values[name]) for name in METRICS if values.get(name) is not None}


def base_config(options: Config) -> Config:
    """The configuration of runs out of a command's options, without the command's own section.

    Raises:
        ConfigError: for a task without the metrics that experiments compare.
    """
    require_labels(options.task, "An experiment over several runs")
    return Config(**{field.name: getattr(options, field.name) for field in fields(Config)})


def experiment_folder(config: Config, command: str) -> Path:
    """Where an experiment writes: beside the run of the same name; removed when it is to start again."""
    folder = Path(config.run.output_dir) / f"{config.run.name}-{command}"
    if config.run.overwrite and folder.is_dir():
        print(f"Starting again: {folder} and its runs are removed.", file=sys.stderr)
        shutil.rmtree(folder)
    return folder


def make_trial(config: Config, folder: Path, name: str, **sections: Any) -> Trial:
    """A trial in `folder/name`, with some sections of the configuration replaced; it is resumed when it is there."""
    changed = replace(config, **sections)
    begun = RunFolder(folder / name).config.is_file()
    place = replace(changed.run, output_dir=str(folder), name=name, resume=begun, overwrite=False)
    return Trial(name, replace(changed, run=place))


def run_trials(trials: Sequence[Trial], *, side_by_side: int = 1) -> list[Outcome]:
    """Run them, one after the other or several at a time; those that are finished are read.

    Args:
        trials: each in a folder of its own.
        side_by_side: how many at a time, each in a process of its own with its share of the CPU cores.

    Raises:
        ConfigError: under several processes, or when a finished run has another configuration.
        TrainingError: when the process of one is ended from outside.
        EmotionError: whatever a run raises; the others that are under way are finished first, and none is begun.
        KeyboardInterrupt: when they were interrupted, each after the step that it was in.
    """
    if side_by_side > 1 and len(trials) > 1:
        workers = min(side_by_side, len(trials))
        print(f"{len(trials)} runs, {workers} at a time in {trials[0].config.run.output_dir}", file=sys.stderr)
        try:
            return _run_side_by_side([_with_share(trial, workers) for trial in trials], workers)
        except BrokenProcessPool:
            raise TrainingError(
                "the process of a run was ended from outside, as systems do where memory is short.",
                hint="Lower --teachers.side_by_side; the same command goes on with the runs.",
            ) from None
    outcomes = []
    for number, trial in enumerate(trials, 1):
        print(f"[{number}/{len(trials)}] {trial.config.run_dir}", file=sys.stderr)
        outcomes.append(run_trial(trial))
    return outcomes


def _run_side_by_side(trials: Sequence[Trial], workers: int) -> list[Outcome]:
    """Run them in processes that are handed one run at a time, so that none is begun after a failure or Ctrl-C."""
    waiting = iter(trials)
    begun: list[Future[Outcome]] = []
    under_way: set[Future[Outcome]] = set()
    # a forked process could not use CUDA, nor threads that torch has started
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_ignore_ctrl_c) as pool:
        while True:
            for trial in islice(waiting, workers - len(under_way)):
                begun.append(pool.submit(_run_in_process, trial))
                under_way.add(begun[-1])
            if not under_way:
                return [future.result() for future in begun]
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            if under_way and any(future.exception() is not None for future in done):
                print(f"A run failed or was stopped; waiting for {len(under_way)} under way.", file=sys.stderr)
            for future in done:
                future.result()


def _run_in_process(trial: Trial) -> Outcome:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run_trial(trial)
    finally:
        _ignore_ctrl_c()


def _ignore_ctrl_c() -> None:
    """In a process that has no run: if it ended, the pool would end the others before they have saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _with_share(trial: Trial, workers: int) -> Trial:
    """The trial with the threads that are left for one of so many processes."""
    threads = max(1, (trial.config.run.threads or default_threads()) // workers)
    return Trial(trial.name, replace(trial.config, run=replace(trial.config.run, threads=threads)))


def run_trial(trial: Trial, callbacks: Sequence[TrainerCallback] = ()) -> Outcome:
    """Run a trial, or read it when it is finished; its checkpoints are removed then.

    Args:
        trial: name and configuration.
        callbacks: of the training loop.

    Raises:
        ConfigError: under several processes, or when the finished run has another configuration or other data.
        EmotionError: whatever the run raises.
    """
    if processes.world_size() > 1:
        raise ConfigError(
            f"an experiment was started by {processes.world_size()} processes.", hint="Start it in a single one."
        )
    keep_freed_memory()  # an experiment is a command, with a process of its own
    folder = RunFolder(trial.config.run_dir)
    if is_finished(folder):
        check_same(folder, trial.config)
        folder.note_data(fingerprint_of(trial.config), begun=True)
    else:
        run(trial.config, callbacks=callbacks, resumed_by=SAME_COMMAND)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    bundle = Bundle.read(folder.bundle)
    return Outcome(trial.name, trial.config, bundle.path, bundle.metrics())


def is_finished(folder: RunFolder) -> bool:
    """Whether the run in this folder got to its bundle."""
    return (folder.path / "finished").is_file() and folder.bundle.is_dir()


def fingerprint_of(config: Config) -> str:
    """That of a run's data as they are now, which are read once in this process."""
    key = f"{config.data} {config.loss.single_label}"
    if key not in _fingerprints:
        _fingerprints[key] = load_data(config.data, single_label=config.loss.single_label).fingerprint
    return _fingerprints[key]


def check_same(folder: RunFolder, config: Config) -> None:
    """Refuse to take what is in a folder for the result of another configuration.

    Raises:
        ConfigError: names the keys that differ.
    """
    differing = config.differences(yaml.safe_load(folder.config.read_text(encoding="utf-8")) or {})
    if differing:
        raise ConfigError(
            f"{folder.path} has another configuration (in {', '.join(differing)}).",
            hint="Choose another --run.name, or remove that folder to start again.",
        )
