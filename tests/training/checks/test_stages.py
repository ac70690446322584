"""Preflight: what would fail later is refused at once."""

import shutil
from collections import namedtuple
from typing import get_args

import pytest

from shared.errors import ConfigError, DataNotFoundError, ModelNotFoundError, PreflightError
from training.checks.stages import preflight
from training.config import Config, ModelConfig, RunConfig
from training.config.data import DataConfig
from training.config.run import CheckName
from training.preflight import main


@pytest.fixture
def config(tiny_model, tmp_path):
    def make(data=None, model=None, **run):
        options = {"output_dir": str(tmp_path / "runs"), **run}
        return Config(
            run=RunConfig(**options), model=ModelConfig(name=model or str(tiny_model)), data=data or DataConfig()
        )

    return make


def test_a_possible_run_passes_and_its_folder_is_made(config, tmp_path):
    preflight(config())
    assert (tmp_path / "runs/default").is_dir()


@pytest.mark.parametrize("name", ["", "latest", ".hidden", "a/b", "a\\b"])
def test_a_name_that_cannot_be_a_folder_is_refused(config, name):
    with pytest.raises(ConfigError, match="run.name is .* allowed is a folder name without slashes"):
        preflight(config(name=name))


def test_a_folder_that_cannot_be_made_is_refused(config, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(ConfigError, match=r"cannot write to .*/runs/default: .* Choose another with --run.output_dir"):
        preflight(config())


def test_a_full_disk_is_refused(config, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 2 * 10**8))
    with pytest.raises(PreflightError, match=r"only 0.2 GB are free for .*; at least 1 GB are needed"):
        preflight(config())


def test_a_path_where_nothing_is_is_refused(config):
    with pytest.raises(DataNotFoundError, match=r"table data not found: looked for /nowhere.csv"):
        preflight(config(DataConfig(source="table", path="/nowhere.csv")))


def test_a_model_that_is_not_there_is_refused(config, tmp_path):
    with pytest.raises(ModelNotFoundError, match="no folder"):
        preflight(config(model=str(tmp_path / "nothing")))


def test_the_command_makes_every_check_and_trains_nothing(arguments, tmp_path, capsys):
    main([*arguments, "--preflight.skip=[lengths]"])
    said = capsys.readouterr().out
    names = get_args(CheckName)
    assert all(f"preflight: {name}: " in said for name in names)
    assert "preflight: lengths: skipped" in said
    assert said.endswith("Ready to train.\n")
    assert not (tmp_path / "runs/default/checkpoints").exists()


def test_a_check_that_does_not_exist_cannot_be_skipped(arguments):
    with pytest.raises(ConfigError, match=r"preflight.skip is .*weather.* allowed: a list like .*labels"):
        main([*arguments, "--preflight.skip=[weather]"])
