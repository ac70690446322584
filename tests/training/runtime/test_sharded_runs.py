"""Weights split between two processes by the ready configurations: the losses, and the bundle, of one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.bundle import Bundle
from tests.system import only_in_full
from tests.training.conftest import run_arguments
from tests.training.runtime.test_processes import losses
from training.calibration.policies import count_on_grid, f1_thresholds
from training.config import CalibrationConfig
from training.run import main

ROOT = Path(__file__).parents[3]
IN_PIECES = {"fsdp": "pytorch_model_fsdp.bin", "deepspeed_zero2_offload": "global_step*/zero_pp_rank_1_*"}
"""What a checkpoint holds only when the library really split the run."""


def launch(configuration: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", str(port)]
    command += [
        "--config_file",
        f"configs/accelerate/{configuration}.yaml",
        str(Path(__file__).with_name("on_cpus.py")),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu"}
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def single(tiny_model, tmp_path_factory):
    """Arguments and folder of all runs, and the run of a single process at the same rows a step."""
    from tests.training.rows import write_table

    folder = tmp_path_factory.mktemp("sharded")
    no_dropout = ["--model.head_dropout=0", "--model.hidden_dropout=0", "--model.attention_dropout=0"]
    arguments = [
        *run_arguments(tiny_model, write_table(folder / "table.jsonl"), folder / "runs"), *no_dropout,
        "--data.max_train_rows=80", "--run.log_every_steps=1",
    ]  # fmt: skip
    main([*arguments, "--run.name=one", "--optim.batch_size=16"])
    return arguments, folder / "runs"


@pytest.mark.slow
@pytest.mark.parametrize("configuration", IN_PIECES)
def test_a_sharded_run_gives_the_losses_and_the_bundle_of_one_process(single, configuration):
    if configuration.startswith("deepspeed"):
        pytest.importorskip(
            "deepspeed", reason="DeepSpeed is not installed: pip install 'emotion-classifiers[deepspeed]'"
        )
    arguments, runs = single
    result = launch(configuration, [*arguments, f"--run.name={configuration}", "--optim.batch_size=8"])
    assert result.returncode == 0, result.stderr[-3000:]
    assert "2 processes" in result.stderr
    folder = runs / configuration
    checkpoints = list((folder / "checkpoints").iterdir())
    assert checkpoints
    assert all(list(checkpoint.glob(IN_PIECES[configuration])) for checkpoint in checkpoints)
    assert losses(folder) == pytest.approx(losses(runs / "one"), abs=2e-4)
    ours, theirs = (Bundle.read(path / "bundle").reference().logits for path in (folder, runs / "one"))
    assert np.allclose(ours, theirs, atol=1e-3)
    assert macro_f1_on_dev(folder) == pytest.approx(best_evaluation(folder), abs=1e-6)


@pytest.mark.slow
@pytest.mark.system
@only_in_full("the sharded run of all weights is the test")
def test_adapters_are_gathered_too(single):
    arguments, runs = single
    options = [
        "--tuning.method=lora",
        "--optim.gradient_checkpointing=true",
        "--optim.optimizer=sgd",
        "--run.name=lora",
    ]
    result = launch("fsdp", [*arguments, *options, "--optim.batch_size=8", "--optim.schedule=plateau"])
    assert result.returncode == 0, result.stderr[-3000:]
    assert macro_f1_on_dev(runs / "lora") == pytest.approx(best_evaluation(runs / "lora"), abs=1e-6)


def macro_f1_on_dev(folder: Path) -> float:
    """What the bundle's weights reach, measured as the loop measures."""
    from shared.metrics import macro_f1
    from shared.thresholds import decide

    rows = Bundle.read(folder / "bundle").reference()
    probabilities, truth, known = 1 / (1 + np.exp(-rows.logits.astype(np.float64))), rows.labels >= 1, rows.known
    thresholds = f1_thresholds(count_on_grid(truth, probabilities, known), CalibrationConfig().threshold_shrinkage)
    return macro_f1(truth, decide(probabilities, thresholds), known)


def best_evaluation(folder: Path) -> float:
    """The best that the loop saw while the weights were sharded."""
    entries = [json.loads(line) for line in (folder / "logs/train.jsonl").read_text().splitlines()]
    return max(entry["eval_macro_f1"] for entry in entries if "eval_macro_f1" in entry)
