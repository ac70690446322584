"""Repeated runs: seeds, folds, and the summary over them."""

import csv
import json

import pytest

from shared.errors import ConfigError
from training import kfold, sweep
from training.config import RunConfig
from training.config.experiments import KFoldConfig, KFoldOptions, SweepConfig, SweepOptions
from training.experiments.repeats import Summary, run_folds, sweep_seeds


def test_the_interval_is_students():
    # s = 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3) = 2.484138
    found = Summary.of([1.0, 2.0, 3.0])
    assert (found.mean, found.deviation) == (2.0, 1.0)
    assert (found.low, found.high) == (pytest.approx(2 - 2.484138, abs=1e-6), pytest.approx(2 + 2.484138, abs=1e-6))
    assert found.text() == "2.0000 +- 1.0000 [-0.4841, 4.4841]"


def test_a_single_value_has_no_interval():
    assert Summary.of([0.5]) == Summary(1, 0.5, None, None, None)
    assert Summary.of([0.5]).text() == "0.5000"


def options(tmp_path, seeds):
    return SweepOptions(run=RunConfig(name="mine", output_dir=str(tmp_path)), sweep=SweepConfig(seeds))


def test_every_seed_is_run_once_and_all_stand_in_one_table(tmp_path, runs):
    runs.score = lambda config: 0.5 + config.run.seed / 100
    text = sweep_seeds(options(tmp_path, [1, 2, 3]))
    assert text == sweep_seeds(options(tmp_path, [1, 2, 3]))
    assert [made.run.seed for made in runs.made] == [1, 2, 3]
    folder = tmp_path / "mine-sweep"
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "results.json", "results.csv", "results.txt", "results.svg",
    }  # fmt: skip
    assert "dev macro_f1: 0.5200 +- 0.0100 [0.4952, 0.5448]" in text
    assert "compared: " + ", ".join(str(tmp_path / f"mine-sweep/seed-{seed}") for seed in (1, 2, 3)) in text
    assert "test macro_f1: 0.5000 +- 0.0100" in text
    content = json.loads((folder / "results.json").read_text())
    assert [row["dev_macro_f1"] for row in content["rows"]] == pytest.approx([0.51, 0.52, 0.53])
    assert content["summary"]["dev"]["macro_f1"]["mean"] == pytest.approx(0.52)
    with (folder / "results.csv").open() as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["seed-1", "seed-2", "seed-3"]


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_must_differ(tmp_path, seeds):
    with pytest.raises(ConfigError, match=r"sweep.seeds is .*; allowed is a list of different seeds"):
        sweep_seeds(options(tmp_path, seeds))


def test_the_command_runs_and_prints_the_table(arguments, tmp_path, capsys):
    sweep.main([*arguments, "--sweep.seeds=[4, 5]", "--optim.max_steps=2"])
    said = capsys.readouterr().out
    assert "dev macro_f1: 0." in said
    assert "Each run against the first, on the same dev rows" in said
    found = json.loads((tmp_path / "runs/default-sweep/comparison/comparison.json").read_text())
    assert [row["name"] for row in found["candidates"]] == [
        str(tmp_path / f"runs/default-sweep/seed-{seed}") for seed in (4, 5)
    ]
    metrics = json.loads((tmp_path / "runs/default-sweep/seed-5/bundle/metrics.json").read_text())
    assert found["candidates"][1]["metrics"]["macro_f1"] == pytest.approx(metrics["dev"]["macro_f1"], abs=1e-9)
    assert (tmp_path / "runs/default-sweep/seed-4/bundle/bundle.json").is_file()


def test_every_fold_is_dev_in_one_run(tmp_path, runs, capsys):
    runs.score = lambda config: 0.5 + config.data.fold / 100
    kfold.main([f"--run.output_dir={tmp_path}", "--kfold.folds=3"])
    assert [(run.data.folds, run.data.fold) for run in runs.made] == [(3, 1), (3, 2), (3, 3)]
    assert "dev macro_f1: 0.5200 +- 0.0100" in capsys.readouterr().out
    assert (tmp_path / "default-kfold/fold-1-of-3/bundle").is_dir()


def test_one_fold_is_refused(tmp_path):
    options = KFoldOptions(run=RunConfig(output_dir=str(tmp_path)), kfold=KFoldConfig(1))
    with pytest.raises(ConfigError, match=r"kfold.folds is 1; it must be 2 or more"):
        run_folds(options)
