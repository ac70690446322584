"""Several processes: one writes, all compute, and the result is that of one process."""

import json
import multiprocessing
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
from tests.training.runtime.slow_first import wait_for_a_slow_first
from training.run import main
from training.runtime import processes


def test_one_process_is_the_main_one_and_waits_for_nobody(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert processes.is_main()
    assert processes.world_size() == 1
    with processes.main_first():
        pass
    processes.barrier()
    assert (processes.on_any(True), processes.on_any(False)) == (True, False)
    processes.finish()


def test_threads_are_shared_by_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(processes, "default_threads", lambda: 8)
    monkeypatch.setattr(processes.distributed, "is_initialized", lambda: True)
    set_to = []
    monkeypatch.setattr(processes.torch, "set_num_threads", set_to.append)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert processes.start(None) == 4
    assert processes.start(3) == 3
    assert set_to == [4, 3]


@pytest.mark.slow
def test_processes_wait_for_the_first_one_longer_than_for_gradients():
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [context.Process(target=wait_for_a_slow_first, args=(rank, port, said)) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    # what the first says, what is true on one of the two, and what on neither
    assert sorted(said.get(timeout=5) for _ in both) == [(0, "of 0", True, False), (1, "of 0", True, False)]


def losses(folder: Path) -> list[float]:
    entries = [json.loads(line) for line in (folder / "logs/train.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


@pytest.mark.slow
@pytest.mark.system
@only_in_full("test_hosts.py goes on with two processes")
def test_two_processes_give_the_loss_curve_of_one_at_equal_rows_a_step(tiny_model, table, tmp_path):
    no_dropout = ["--model.head_dropout=0", "--model.hidden_dropout=0", "--model.attention_dropout=0"]
    rows = "--data.max_train_rows=80"  # full batches: an incomplete one is filled up with rows seen before
    arguments = [*run_arguments(tiny_model, table, tmp_path / "runs"), *no_dropout, rows, "--run.log_every_steps=1"]
    main([*arguments, "--run.name=one", "--optim.batch_size=16"])
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29631", "-m"]
    result = subprocess.run(
        [*launch, "training.run", *arguments, "--run.name=two", "--optim.batch_size=8"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert "2 processes" in result.stderr
    one, two = (losses(tmp_path / f"runs/{name}") for name in ("one", "two"))
    assert len(one) == len(two)
    assert one == pytest.approx(two, abs=2e-4)
    logits = [Bundle.read(tmp_path / f"runs/{name}/bundle").reference().logits for name in ("one", "two")]
    assert np.allclose(*logits, atol=1e-3)
