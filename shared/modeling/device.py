"""The one answer to which device torch computes on, with how many threads, and whether its memory ran out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""In messages of errors that have no type of their own, such as that of the CPU's allocator."""


def torch_device() -> torch.device:
    """The CUDA device of this process where torch can use one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_cuda() -> bool:
    """Whether `torch_device` is a CUDA device."""
    return torch_device().type == "cuda"


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch computes with `count` threads within the block, and with as many as before behind it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of a GPU or of the machine."""
    reported = isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)
    return reported or isinstance(error, (MemoryError, torch.OutOfMemoryError))
