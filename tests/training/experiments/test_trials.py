"""Trials: run once, taken as finished afterwards, never mistaken for another configuration."""

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest

from shared.bundle import Bundle
from shared.errors import ConfigError, TrainingError
from training.config import Config, OptimConfig, RunConfig
from training.config.experiments import SweepOptions
from training.config.parser import parse_options
from training.evaluation import calibrate
from training.experiments import trials
from training.experiments.trials import SAME_COMMAND, base_config, experiment_folder, make_trial, run_trial, run_trials


@pytest.fixture
def config(tmp_path):
    return Config(run=RunConfig(name="mine", output_dir=str(tmp_path)))


def test_a_trial_is_resumable_and_lies_beside_the_run_of_its_name(config, tmp_path):
    folder = experiment_folder(config, "sweep")
    assert folder == tmp_path / "mine-sweep"
    trial = make_trial(config, folder, "a", optim=OptimConfig(lr=1e-3))
    assert trial.config.run_dir == folder / "a"
    assert (trial.config.run.resume, trial.config.optim.lr) == (False, 1e-3)  # there is nothing to resume yet


def test_the_section_of_a_command_is_no_part_of_its_runs():
    options = SweepOptions(optim=OptimConfig(lr=1e-3))
    assert base_config(options) == Config(optim=OptimConfig(lr=1e-3))
    assert "sweep" not in base_config(options).to_dict()


def test_a_finished_trial_is_read_and_its_checkpoints_are_gone(config, tmp_path, runs):
    both = [make_trial(config, tmp_path / "x", name) for name in ("a", "b")]
    run_trial(both[0])
    outcomes = run_trials(both)
    assert [made.run.name for made in runs.made] == ["a", "b"]
    assert [outcome.metric() for outcome in outcomes] == [0.5, 0.5]
    assert outcomes[0].metric("macro_f1", "test") == pytest.approx(0.48)
    assert not (tmp_path / "x/a/checkpoints").exists()


def test_a_finished_trial_of_another_configuration_is_refused(config, tmp_path, runs):
    run_trial(make_trial(config, tmp_path / "x", "a"))
    run_trial(make_trial(replace(config, run=replace(config.run, threads=1)), tmp_path / "x", "a"))
    with pytest.raises(ConfigError, match=r"has another configuration \(in optim\.lr\)"):
        run_trial(make_trial(config, tmp_path / "x", "a", optim=OptimConfig(lr=1e-3)))
    assert len(runs.made) == 1


def test_finished_trials_of_other_data_are_refused_or_made_again(config, tmp_path, runs, capsys):
    folder = experiment_folder(config, "sweep")
    run_trial(make_trial(config, folder, "a"))
    runs.data = "b" * 64
    with pytest.raises(ConfigError, match=r"changed since it began: .* start again with --run.overwrite true"):
        run_trial(make_trial(config, folder, "a"))
    again = replace(config, run=replace(config.run, overwrite=True))
    run_trial(make_trial(again, experiment_folder(again, "sweep"), "a"))
    assert len(runs.made) == 2
    assert f"Starting again: {folder} and its runs are removed." in capsys.readouterr().err


def test_several_processes_are_refused(config, tmp_path, runs, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="an experiment was started by 2 processes"):
        run_trial(make_trial(config, tmp_path / "x", "a"))


def test_runs_side_by_side_are_those_of_one_after_the_other(arguments, tmp_path):
    short = ["--optim.max_steps=2", "--eval.bootstrap_samples=0"]
    config, _ = parse_options(Config, [*arguments, *short], prog="train", description="Train.")

    def seeds(folder, *numbers):
        place = tmp_path / folder
        return [make_trial(config, place, f"seed-{seed}", run=replace(config.run, seed=seed)) for seed in numbers]

    _, both = run_trials(seeds("both", 1, 2), side_by_side=2)
    (alone,) = run_trials(seeds("alone", 2))
    assert both.name == "seed-2"
    logits = [Bundle.read(outcome.bundle).reference().logits for outcome in (both, alone)]
    assert np.array_equal(*logits)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TrainingError("too hot"), "too hot"),
        (KeyboardInterrupt("stopped"), "stopped"),
        (BrokenProcessPool("gone"), "of a run was ended from outside, .* Lower --teachers.side_by_side"),
    ],
)
def test_after_a_failure_or_ctrl_c_the_runs_under_way_are_finished_and_none_is_begun(
    config, tmp_path, runs, monkeypatch, capsys, error, raised
):
    def score(made):
        time.sleep(0.2 if made.run.name == "a" else 0.05)
        if made.run.name == "b":
            raise error
        return 0.5

    runs.score = score
    monkeypatch.setattr(trials, "ProcessPoolExecutor", lambda workers, **_: ThreadPoolExecutor(workers))
    monkeypatch.setattr(trials.signal, "signal", lambda *_: None)  # which threads may not set
    with pytest.raises((TrainingError, KeyboardInterrupt), match=raised):
        run_trials([make_trial(config, tmp_path / "x", name) for name in "abcde"], side_by_side=2)
    assert sorted(made.run.name for made in runs.made) == ["a", "b"]
    assert (tmp_path / "x/a/finished").is_file()
    assert "A run failed or was stopped; waiting for 1 under way." in capsys.readouterr().err


def test_an_interrupted_trial_names_the_command_that_goes_on_with_all_of_them(arguments, tmp_path, monkeypatch, capsys):
    short = ["--optim.max_steps=2", "--eval.bootstrap_samples=0"]
    config, _ = parse_options(Config, [*arguments, *short], prog="train", description="Train.")
    with monkeypatch.context() as patch:
        patch.setattr(calibrate, "calibrate_and_evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_trial(make_trial(config, tmp_path / "x", "a"))
    assert capsys.readouterr().err.endswith(f"Interrupted. Resume with: {SAME_COMMAND}\n")
    (outcome,) = run_trials([make_trial(config, tmp_path / "x", "a")])
    assert outcome.bundle == tmp_path / "x/a/bundle"


def interrupted(*_):
    """In place of a step that Ctrl-C ends."""
    raise KeyboardInterrupt
