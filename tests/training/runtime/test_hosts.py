"""Two hosts, each with a launcher of its own: the losses of one, and a run that goes on when a host is lost.

The hosts are process groups of one machine that meet at an address, as machines do; they share a folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.bundle import Bundle
from shared.errors import ConfigError
from tests.system import only_in_full
from tests.training.conftest import run_arguments
from tests.training.runtime.test_processes import losses
from training.config import Config, RunConfig
from training.run import main
from training.runtime import processes, session

ROOT = Path(__file__).parents[3]
END_S = 900.0
NO_DROPOUT = ["--model.head_dropout=0", "--model.hidden_dropout=0", "--model.attention_dropout=0"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def host(log: Path, launcher: list[str], arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher with its workers in a process group of its own; whatever happens, it is ended."""
    command = [sys.executable, "-m", "torch.distributed.run", *launcher]
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }  # fmt: skip
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "-m", "training.run", *arguments], env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """What a power cut does to a host: nobody says goodbye. Workers are in sessions of their own."""
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
    for number in (process.pid, *map(int, children.split())):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.wait(30)


def ended_well(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.wait(END_S) == 0, log.read_text(errors="replace")[-4000:]


def curve(folder: Path) -> dict[int, float]:
    """Step -> loss; of a step that was done twice, the last."""
    entries = [json.loads(line) for line in (folder / "logs/train.jsonl").read_text().splitlines()]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


@pytest.fixture(scope="module")
def single(tiny_model, tmp_path_factory):
    """Arguments of all runs, and the folder of the run of one host at the same rows a step."""
    from tests.training.rows import write_table

    folder = tmp_path_factory.mktemp("hosts")
    arguments = [
        *run_arguments(tiny_model, write_table(folder / "table.jsonl"), folder / "runs"), *NO_DROPOUT,
        "--data.max_train_rows=80", "--run.log_every_steps=1", "--optim.epochs=6", "--run.save_every_steps=3",
        "--eval.patience=null", "--watch.trackers=[]",
    ]  # fmt: skip
    main([*arguments, "--run.name=one", "--optim.batch_size=16"])
    return arguments, folder


def meeting(rank: int, port: int) -> list[str]:
    return [
        "--nnodes=2", "--nproc_per_node=1", f"--node_rank={rank}", "--master_addr=127.0.0.1", f"--master_port={port}",
    ]  # fmt: skip


@contextlib.contextmanager
def both(logs: list[Path], arguments: list[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    port = free_port()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(host(log, meeting(rank, port), arguments)) for rank, log in enumerate(logs)]


@pytest.mark.slow
@pytest.mark.system
@only_in_full("the run that loses a host compares the same losses")
def test_two_hosts_give_the_losses_and_the_bundle_of_one(single):
    arguments, folder = single
    logs = [folder / f"two{rank}.log" for rank in (0, 1)]
    with both(logs, [*arguments, "--run.name=two", "--optim.batch_size=8"]) as hosts:
        for process, log in zip(hosts, logs, strict=True):
            ended_well(process, log)
    runs = folder / "runs"
    assert losses(runs / "two") == pytest.approx(losses(runs / "one"), abs=1e-4)
    ours, theirs = (Bundle.read(runs / name / "bundle") for name in ("two", "one"))
    assert np.allclose(ours.reference().logits, theirs.reference().logits, atol=1e-3)
    assert ours.manifest.provenance["training"]["processes"] == 2


@pytest.mark.slow
def test_a_lost_host_costs_the_steps_since_the_last_checkpoint(single):
    """The other host ends in an error, the cluster starts the same command again, both processes on one host."""
    arguments, folder = single
    command = [*arguments, "--run.name=three", "--optim.batch_size=8", "--run.resume_if_there=true"]
    run, logs = folder / "runs/three", [folder / f"lost{rank}.log" for rank in (0, 1)]
    with both(logs, command) as hosts:
        wait_for_checkpoint(run, 9, hosts, logs)
        kill(hosts[1])
        assert hosts[0].wait(END_S) != 0
    reached = max(curve(run))
    again = folder / "again.log"
    with host(again, ["--nproc_per_node=2", f"--master_port={free_port()}"], command) as alone:
        ended_well(alone, again)
    assert "2 processes" in again.read_text(errors="replace")
    went_on(folder, "three", again, reached)


def elastic(port: int, *, store: bool) -> list[str]:
    """Of launchers that wait for others; one of them holds what they agree by."""
    return [
        "--nnodes=2", "--nproc_per_node=1", "--max_restarts=3", "--rdzv_backend=c10d", "--rdzv_id=run",
        f"--rdzv_endpoint=127.0.0.1:{port}", f"--rdzv_conf=is_host={store},keep_alive_interval=1",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.system
@only_in_full("the run that is started again compares the same losses")
def test_a_lost_host_is_replaced_while_the_other_waits(single):
    arguments, folder = single
    command = [*arguments, "--run.name=four", "--optim.batch_size=8", "--run.resume_if_there=true"]
    run, logs = folder / "runs/four", [folder / f"{name}.log" for name in ("kept", "gone", "new")]
    port = free_port()
    with host(logs[0], elastic(port, store=True), command) as kept:
        with host(logs[1], elastic(port, store=False), command) as gone:
            wait_for_checkpoint(run, 9, [kept, gone], logs)
        reached = max(curve(run))
        with host(logs[2], elastic(port, store=False), command) as new:
            ended_well(kept, logs[0])
            ended_well(new, logs[2])
    went_on(folder, "four", logs[0], reached)


def went_on(folder: Path, name: str, log: Path, reached: int) -> None:
    """A run that had reached a step went on from the checkpoint before it, to the losses and the bundle of one."""
    assert reached < 30, "the host was lost too late"
    lines = log.read_text(errors="replace").splitlines()
    (resumed,) = [int(line.rsplit("-", 1)[1]) for line in lines if "Resuming from" in line]
    assert 9 <= resumed <= reached
    assert resumed >= reached - 3
    whole, broken = curve(folder / "runs/one"), curve(folder / "runs" / name)
    assert broken.keys() == whole.keys()
    assert [broken[step] for step in whole] == pytest.approx(list(whole.values()), abs=1e-4)
    ours, theirs = (Bundle.read(folder / f"runs/{run}/bundle") for run in (name, "one"))
    assert np.allclose(ours.reference().logits, theirs.reference().logits, atol=1e-3)
    assert ours.manifest.provenance["training"]["processes"] == 2


def wait_for_checkpoint(run: Path, step: int, hosts: list[subprocess.Popen[bytes]], logs: list[Path]) -> None:
    end = time.monotonic() + END_S
    while not any(int(path.name.rsplit("-", 1)[1]) >= step for path in run.glob("checkpoints/checkpoint-*")):
        for process, log in zip(hosts, logs, strict=False):
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.01)


def test_a_run_is_continued_where_there_is_one_and_started_where_there_is_none(arguments, tmp_path, capfd):
    command = [*arguments, "--run.resume_if_there=true", "--watch.trackers=[]"]
    main([*command, "--optim.max_steps=3"])
    assert "Resuming" not in capfd.readouterr().err
    main([*command, "--optim.max_steps=3"])
    assert "Resuming from" in capfd.readouterr().err
    with pytest.raises(ConfigError, match=r"cannot be resumed with another configuration: .*lr was"):
        main([*command, "--optim.max_steps=3", "--optim.lr=0.5"])
    with pytest.raises(ConfigError, match="run.overwrite and run.resume_if_there are both true"):
        Config(run=RunConfig(overwrite=True, resume_if_there=True)).check()


def test_a_checkpoint_that_a_host_does_not_see_ends_the_run_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "from_main", lambda _: tmp_path / "elsewhere/checkpoint-3")
    config = Config(run=RunConfig(name="a", output_dir=str(tmp_path)))
    with session.Session(config) as here, pytest.raises(ConfigError, match=r"not on this machine.*all machines share"):
        here.prepare()
