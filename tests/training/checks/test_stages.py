"""Preflight: what would fail later is refused at once, on options, sharding and the machine."""

import shutil
from collections import namedtuple
from typing import get_args

import pytest

from shared.errors import ConfigError, DataNotFoundError, ModelNotFoundError, PreflightError
from training.checks import stages
from training.checks.stages import check_sharding, preflight
from training.config import Config, ModelConfig, OptimConfig, RunConfig, TuningConfig
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


def test_versions_and_devices_are_told():
    assert "transformers" in stages.check_versions()


def test_an_old_package_is_refused(monkeypatch):
    monkeypatch.setattr(stages, "version", lambda _: "2.1.0")
    with pytest.raises(PreflightError, match=r"torch is 2.1.0; 2.6 or newer is needed. pip install -U 'torch>=2.6'"):
        stages.check_versions()


@pytest.fixture
def fsdp(monkeypatch):
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv("FSDP_STATE_DICT_TYPE", "FULL_STATE_DICT")


@pytest.mark.parametrize("kind", ["FSDP", "DeepSpeed"])
@pytest.mark.parametrize(
    ("config", "key"),
    [
        (Config(optim=OptimConfig(ema_decay=0.99)), "optim.ema_decay"),
        (Config(optim=OptimConfig(l1=1e-5)), "optim.l1"),
        (Config(optim=OptimConfig(l2=1e-5)), "optim.l2"),
        (Config(optim=OptimConfig(optimizer="adafactor")), "optim.optimizer adafactor"),
        (Config(tuning=TuningConfig(method="progressive")), "tuning.method progressive"),
    ],
)
def test_options_that_need_whole_weights_are_refused(fsdp, config, key, kind):
    with pytest.raises(ConfigError, match=rf"{key} does not go with {kind}: .*configs/accelerate/multi_gpu\.yaml"):
        check_sharding(config, kind)
    check_sharding(config, None)


@pytest.mark.parametrize("kind", ["FSDP", "DeepSpeed"])
@pytest.mark.parametrize("method", ["full", "lora", "partial"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "rmsprop"])
def test_the_others_pass(fsdp, kind, method, optimizer):
    check_sharding(Config(tuning=TuningConfig(method=method), optim=OptimConfig(optimizer=optimizer)), kind)


def test_the_older_fsdp_is_refused(fsdp, monkeypatch):
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ConfigError, match=r"FSDP version 1 was launched; allowed is 2\. Set fsdp_version: 2"):
        check_sharding(Config(), "FSDP")


def test_checkpoints_in_pieces_are_refused(fsdp, monkeypatch):
    monkeypatch.setenv("FSDP_STATE_DICT_TYPE", "SHARDED_STATE_DICT")
    with pytest.raises(ConfigError, match=r"the state dict type SHARDED_STATE_DICT; allowed is FULL_STATE_DICT"):
        check_sharding(Config(), "FSDP")
