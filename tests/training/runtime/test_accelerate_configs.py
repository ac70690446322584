"""The ready configurations are ones that `accelerate` reads, and their headers tell how to start them."""

import json
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.distributed.fsdp import StateDictType

from training.config import Config, OptimConfig
from training.loop.trainer import training_arguments
from training.runtime.resources import Precision

FOLDER = Path(__file__).parents[3] / "configs" / "accelerate"
NAMES = {"multi_gpu": "MULTI_GPU", "fsdp": "FSDP", "deepspeed_zero2_offload": "DEEPSPEED"}


@pytest.mark.parametrize("name", NAMES)
def test_accelerate_reads_it(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert (config.distributed_type, config.num_processes, config.use_cpu) == (NAMES[name], 2, False)
    header = " ".join((FOLDER / f"{name}.yaml").read_text().replace("#", "").replace("\\", "").split())
    start = f"accelerate launch --config_file configs/accelerate/{name}.yaml --num_processes 4 -m training.run"
    assert f"{start} --config RECIPE" in header


@pytest.mark.parametrize("name", ["multi_gpu", "fsdp"])
def test_the_precision_is_left_to_the_run(name):
    assert load_config_from_file(str(FOLDER / f"{name}.yaml")).mixed_precision == "no"


def test_its_keys_are_those_of_the_fsdp_plugin(monkeypatch):
    options = load_config_from_file(str(FOLDER / "fsdp.yaml")).fsdp_config
    for name, value in options.items():
        monkeypatch.setenv(name.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
    assert plugin.state_dict_type is StateDictType.FULL_STATE_DICT


def test_deepspeed_leaves_what_the_run_knows_to_it():
    config = load_config_from_file(str(FOLDER / "deepspeed_zero2_offload.yaml"))
    path = FOLDER.parents[1] / config.deepspeed_config["deepspeed_config_file"]
    content = json.loads(path.read_text())
    assert content["zero_optimization"]["stage"] == 2
    assert content["zero_optimization"]["offload_optimizer"]["device"] == "cpu"
    assert {name for name, value in content.items() if value == "auto"} == {
        "train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping",
    }  # fmt: skip


def test_deepspeed_takes_them_from_the_run(tmp_path):
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed: pip install 'emotion-classifiers[deepspeed]'")
    from transformers.integrations import HfTrainerDeepSpeedConfig

    config = HfTrainerDeepSpeedConfig(str(FOLDER / "deepspeed_zero2_offload.json"))
    optim = OptimConfig(batch_size=8, accumulation=2, clip_norm=0.5)
    arguments = training_arguments(Config(optim=optim), tmp_path, Precision("fp32", "test"))
    config.trainer_config_process(arguments)
    found = config.config
    assert (found["train_micro_batch_size_per_gpu"], found["gradient_accumulation_steps"]) == (8, 2)
    assert found["gradient_clipping"] == 0.5
    assert not found["fp16"]["enabled"]
    assert "auto" not in json.dumps(found)
