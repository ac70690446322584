"""Several training processes: who writes, who waits, how they end, and what of the weights is split between them."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Literal, TypeVar

import torch
from torch import distributed

from shared.cli import default_threads
from shared.modeling.device import has_cuda

T = TypeVar("T")

LONGEST_WAIT = datetime.timedelta(days=2)
"""Of processes for the first one, which reads and tokenises for all, asks teachers, and writes the bundle: NCCL's own
ten minutes are for gradients, and would end a run over a large table."""
_waiting: list[distributed.ProcessGroup] = []
"""The group in which they wait, on the CPU; made with the others."""


def is_main() -> bool:
    """Whether this process writes: the first of all that were launched."""
    return int(os.environ.get("RANK", "0")) == 0


def world_size() -> int:
    """Number of processes launched together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(threads: int | None) -> int:
    """Join the other processes if there are any, set this one's threads; their number."""
    if world_size() > 1 and not distributed.is_initialized():
        backend = "gloo"
        if has_cuda():
            # whole weights are gathered on the CPU
            backend = "nccl" if sharding() is None else "cuda:nccl,cpu:gloo"
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group(backend)
        _waiting[:] = [distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)]
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world_size()))
    chosen = threads or max(1, default_threads() // local)
    torch.set_num_threads(chosen)
    return chosen


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The first process runs the block before all others, so that they find what it wrote."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def from_main(value: T) -> T:
    """What the first process says, on every process; all of them wait for it."""
    if not distributed.is_initialized():
        return value
    said = [value]
    distributed.broadcast_object_list(said, src=0, group=_group())
    return said[0]


def on_any(flag: bool) -> bool:
    """Whether `flag` is true on any process; all of them have to ask at the same point."""
    if not distributed.is_initialized():
        return flag
    group = _group()
    device = "cuda" if distributed.get_backend(group) == "nccl" else "cpu"
    said = torch.tensor(int(flag), device=device)
    distributed.all_reduce(said, distributed.ReduceOp.MAX, group=group)
    return bool(said)


def barrier() -> None:
    """Wait until every process is here."""
    if distributed.is_initialized():
        distributed.barrier(group=_group())


def _group() -> distributed.ProcessGroup | None:
    return _waiting[0] if _waiting else None


def finish() -> None:
    """Leave the group together: a process that goes first can abort the others."""
    if distributed.is_initialized():
        barrier()
        _waiting.clear()
        distributed.destroy_process_group()


Sharding = Literal["FSDP", "DeepSpeed"]


def sharding() -> Sharding | None:
    """What splits them; None where every process has all of them."""
    if _is_set("ACCELERATE_USE_FSDP"):
        return "FSDP"
    return "DeepSpeed" if _is_set("ACCELERATE_USE_DEEPSPEED") else None


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
