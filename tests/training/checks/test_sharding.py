"""What a run whose weights are split refuses, and why."""

import pytest

from shared.errors import ConfigError
from training.checks.sharding import check_sharding
from training.config import Config, OptimConfig, TuningConfig


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
