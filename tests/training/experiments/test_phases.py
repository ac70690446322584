"""The four phases: which runs are made, what is chosen on dev, and that nothing is run twice."""

import json
import shutil

import pytest

from training import phases
from training.config import LossConfig, RunConfig
from training.config.experiments import PhasesConfig, PhasesOptions
from training.experiments.phases import analyse, run_phases
from training.experiments.trials import Outcome

SCORES = {("bce", 0.7): 0.40, ("asymmetric", 0.7): 0.46, ("combined", 0.7): 0.45, ("combined", 0.5): 0.48,
          ("combined", 0.3): 0.44}  # fmt: skip


def score(config):
    return SCORES[(config.loss.name, config.loss.ratio)] + (
        0.05 if config.data.max_train_rows == 30_000 and config.loss.name == "asymmetric" else 0.0
    )


@pytest.fixture
def options(tmp_path):
    return PhasesOptions(run=RunConfig(name="mine", output_dir=str(tmp_path)))


def test_five_losses_on_a_subset_then_the_best_two_for_longer_on_more_rows(options, tmp_path, runs):
    runs.score = score
    text = run_phases(options)
    made = [(run.loss.name, run.loss.ratio, run.data.max_train_rows, run.optim.epochs) for run in runs.made]
    assert made == [
        *((name, ratio, 20_000, 2.0) for name, ratio in SCORES),
        ("combined", 0.5, 30_000, 3.0), ("asymmetric", 0.7, 30_000, 3.0),
    ]  # fmt: skip
    folder = tmp_path / "mine-phases"
    choice = json.loads((folder / "choice.json").read_text())
    assert choice["loss"] == "asymmetric"
    assert choice["dev_macro_f1"] == pytest.approx(0.51)
    assert choice["bundle"] == str(folder / "phase3/asymmetric/bundle")
    assert "Chosen by macro F1 on dev: asymmetric (0.5100)" in text
    assert len(json.loads((folder / "results.json").read_text())["rows"]) == 7
    assert (folder / "results.svg").is_file()


def test_a_stopped_experiment_goes_on_where_it_was(options, runs):
    def stop_at_the_fourth(config):
        if len(runs.made) == 4:
            raise KeyboardInterrupt
        return score(config)

    runs.score = stop_at_the_fourth
    with pytest.raises(KeyboardInterrupt):
        run_phases(options)
    first = len(runs.made)
    runs.score = score
    for config in runs.made[3:]:  # a run that was killed leaves no bundle
        shutil.rmtree(config.run_dir)
    text = run_phases(options)
    assert len(runs.made) == first + 4
    assert run_phases(options) == text
    assert len(runs.made) == first + 4


def outcome(name, tuned, fixed):
    policies = {"f1": {"macro_f1": tuned}, "fixed_0.2": {"macro_f1": fixed}}
    return Outcome(name, None, None, {"dev": {"policies": policies}})


def test_the_analysis_compares_both_ways_of_deciding_with_the_baseline():
    outcomes = [outcome("bce", 0.5, 0.4), outcome("asymmetric", 0.6, 0.3)]
    assert analyse(outcomes)[1] == pytest.approx(
        {"run": "asymmetric", "fixed_0.2": 0.3, "fixed_0.2_gain": -0.1, "f1": 0.6, "f1_gain": 0.1}
    )
    assert analyse(outcomes, baseline=0.46)[0]["f1_gain"] == pytest.approx(0.04)


def test_the_other_options_of_a_loss_are_those_configured(options, runs):
    options = PhasesOptions(
        run=options.run, loss=LossConfig(gamma_negative=2.0), phases=PhasesConfig(keep=1, screen_rows=10)
    )
    run_phases(options)
    assert {run.loss.gamma_negative for run in runs.made} == {2.0}
    assert [run.data.max_train_rows for run in runs.made] == [10] * 5 + [30_000]


def test_the_command_prints_the_table(arguments, tmp_path, capsys, runs):
    phases.main([*arguments, "--phases.screen_epochs=1"])
    assert "Phase 2: macro F1 on dev at threshold 0.2" in capsys.readouterr().out
    assert {run.optim.lr for run in runs.made} == {1e-2}
