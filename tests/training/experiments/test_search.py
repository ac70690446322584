"""The search: which values are tried, what is stopped early, and that a stopped search goes on."""

import json
from dataclasses import replace

import optuna
import pytest
import yaml

from shared.errors import ConfigError, ModelError
from training import run as training_run
from training import search
from training.config import Config, LossConfig, ModelConfig, OptimConfig, RunConfig, TuningConfig
from training.config.experiments import Dimension, SearchConfig, SearchOptions
from training.config.parser import parse_options
from training.experiments.search import Pruning, Search, run_search

LR = Dimension("optim.lr", 1e-4, 1e-2, log=True)
ROWS = Dimension("optim.batch_size", 8, 64, whole=True)
LOSS = Dimension("loss.name", choices=["bce", "focal"])


@pytest.fixture
def options(tmp_path):
    def make(trials=4, space=(LR, ROWS, LOSS), **run):
        config = SearchConfig(trials, list(space), random_trials=2, prune_after_trials=1)
        return SearchOptions(run=RunConfig(name="mine", output_dir=str(tmp_path), **run), search=config)

    return make


def test_every_trial_has_its_values_and_the_best_is_ready_to_run(options, tmp_path, runs):
    runs.score = lambda config: 1 - config.optim.lr
    text = run_search(options())
    assert len(runs.made) == 4
    for made in runs.made:
        assert 1e-4 <= made.optim.lr <= 1e-2
        assert type(made.optim.batch_size) is int
        assert made.loss.name in ("bce", "focal")
    best = min(made.optim.lr for made in runs.made)
    folder = tmp_path / "mine-search"
    config, _ = parse_options(Config, ["--config", str(folder / "best.yaml")], prog="train", description="Train.")
    assert (config.optim.lr, config.run.name, config.run.resume) == (best, "mine", False)
    assert f"Best macro F1 on dev: {1 - best:.4f}" in text
    assert json.loads((folder / "results.json").read_text())["best"]["optim.lr"] == best
    assert (folder / "results.svg").is_file()


def test_a_finished_search_runs_nothing_and_a_longer_one_what_is_missing(options, runs):
    text = run_search(options())
    assert run_search(options()) == text
    assert len(runs.made) == 4
    run_search(options(trials=6))
    assert len({made.optim.lr for made in runs.made}) == 6


def test_a_killed_trial_is_run_again_with_its_values_in_its_folder(options, runs):
    class Unwritten(type(runs)):
        """A run that is killed before it leaves anything."""

        def __call__(self, config, callbacks=(), resumed_by=None):
            self.made.append(config)
            if len(self.made) == 2:
                raise KeyboardInterrupt
            self.made.pop()
            super().__call__(config, callbacks)

    runs.__class__ = Unwritten
    with pytest.raises(KeyboardInterrupt):
        run_search(options())
    run_search(options())
    assert runs.made[2] == runs.made[1]
    assert len(runs.made) == 5


def test_a_run_below_the_median_is_stopped_and_counts(options, runs):
    def evaluate(config):
        curve = [0.6, 0.7] if len(runs.made) == 1 else [0.1, 0.2]
        for epoch, value in enumerate(curve, 1):
            state = type("State", (), {"epoch": float(epoch)})
            runs.callbacks[0].on_evaluate(None, state, None, metrics={"eval_macro_f1": value})
        return curve[-1]

    class Evaluated(type(runs)):
        def __call__(self, config, callbacks=(), resumed_by=None):
            self.callbacks = callbacks
            super().__call__(config, callbacks)

    runs.__class__, runs.score = Evaluated, evaluate
    text = run_search(options(trials=2))
    assert "pruned    0.1000" in text
    assert "Best macro F1 on dev: 0.7000" in text


def test_a_failing_first_trial_ends_the_search_and_a_later_one_does_not(options, tmp_path, runs):
    def fail(config):
        raise ModelError("the loss is not a number")

    runs.score = fail
    with pytest.raises(ModelError, match="the loss is not a number"):
        run_search(options(trials=3))
    runs.score = lambda config: 0.5 if len(runs.made) < 3 else fail(config)
    assert "fail" in run_search(options(trials=3))
    assert len(runs.made) == 3


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (Dimension("run.seed", 1, 2), r"an entry with the key 'run.seed'; allowed is any key but"),
        (Dimension("optim.lr", choices=[]), "optim.lr needs either choices, or low and high"),
        (Dimension("optim.lr", 1e-3, 1e-4), r"optim.lr has low 0.001 and high 0.0001; low must be below high"),
        (Dimension("optim.lr", 0.0, 1e-4, log=True), r"has low 0.0; with log it must be above 0"),
        (Dimension("optim.rl", 1e-4, 1e-3), r"unknown key 'optim.rl' .*did you mean"),
        (Dimension("loss.name", choices=["bcee"]), r"loss.name is 'bcee' in search.space; allowed: bce"),
        (Dimension("loss.name", choices=["bce", "bcee"]), r"loss.name is 'bcee' in search.space; allowed: bce"),
        (
            Dimension("model.hidden_dropout", 0.1, 1.0),
            r"model.hidden_dropout is '1.0' in search.space; allowed: a number",
        ),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(options, dimension, message):
    with pytest.raises(ConfigError, match=message):
        Search.open(options(space=[dimension]))


def test_a_space_is_checked_beside_the_values_of_the_run(options):
    both = {"model": ModelConfig(top_dropout=0.2, bottom_dropout=0.1)}
    one_label = {"loss": LossConfig(name="cross_entropy")}
    for sections, dimension in (
        (both, Dimension("model.bottom_dropout", 0.0, 0.3)),
        (one_label, Dimension("eval.best_by", choices=["accuracy", "macro_f1"])),
    ):
        chosen = options(space=[dimension])
        Search.open(replace(chosen, **sections, run=replace(chosen.run, name=dimension.key)))


def test_values_that_the_run_forbids_are_refused_before_anything_runs(options, tmp_path):
    plateau = TuningConfig(method="progressive", unfreeze="plateau")
    for dimension in (Dimension("tuning.unfreeze_every", 1, 2), Dimension("tuning.unfreeze_every", choices=[1, 1.5])):
        with pytest.raises(ConfigError, match=r"tuning.unfreeze_every is 1\.\d+; .*must be a whole number"):
            Search.open(replace(options(space=[dimension]), tuning=plateau))
    with pytest.raises(ConfigError, match="eval.best_by has accuracy, which needs one label a text; loss.name is bce"):
        Search.open(options(space=[LOSS, Dimension("eval.best_by", choices=["macro_f1", "accuracy"])]))
    assert not list(tmp_path.iterdir())  # or what is corrected would be refused as another configuration


def test_a_search_is_not_continued_with_another_configuration(options, tmp_path, runs):
    run_search(options(trials=1))
    other = SearchOptions(run=options().run, optim=OptimConfig(epochs=1.0), search=options().search)
    with pytest.raises(ConfigError, match=r"mine-search has another configuration \(in optim\.epochs\)"):
        run_search(other)


def test_the_space_is_read_from_a_file(tmp_path, runs, capsys):
    space = [{"key": "optim.lr", "low": 1e-4, "high": 1e-3}, {"key": "optim.batch_size", "choices": [16, 32]}]
    content = {"run": {"output_dir": str(tmp_path)}, "search": {"trials": 2, "space": space}}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
    search.main(["--config", str(tmp_path / "search.yaml")])
    assert "Best macro F1 on dev: 0.5000" in capsys.readouterr().out
    assert {made.optim.batch_size for made in runs.made} <= {16, 32}


def test_without_optuna_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"a search needs Optuna. Install it with: pip install"):
        search.main([])


def test_a_real_run_reports_after_its_epoch_and_ends_when_pruned(arguments, tmp_path):
    class Hopeless:
        def __init__(self):
            self.reported = []

        def report(self, value, step):
            self.reported.append((step, value))

        def should_prune(self):
            return True

    config, _ = parse_options(Config, arguments, prog="train", description="Train.")
    trial = Hopeless()
    with pytest.raises(optuna.TrialPruned):
        training_run.run(config, callbacks=[Pruning(trial)])
    ((step, value),) = trial.reported
    assert step == 1
    assert 0 <= value <= 1
    assert not (tmp_path / "runs/default/bundle").exists()
