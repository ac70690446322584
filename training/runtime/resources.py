"""What the machine offers a run: mixed precision, memory that is kept between steps, and a full disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from shared.errors import ConfigError
from shared.modeling.device import has_cuda

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""CPU features with which a bf16 product is faster than one in fp32."""


@dataclass(frozen=True)
class Precision:
    """A precision and the reason it was chosen."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose_precision(asked: str) -> Precision:
    """The precision to train in; "auto" is decided here.

    Raises:
        ConfigError: when the device cannot train in the precision asked for.
    """
    if has_cuda():
        return _on_cuda(asked, torch.cuda.is_bf16_supported())
    return _on_cpu(asked, cpu_flags())


def _on_cuda(asked: str, has_bf16: bool) -> Precision:
    if asked == "bf16" and not has_bf16:
        raise ConfigError("optim.precision is 'bf16', which this GPU lacks; allowed here: auto, fp16, fp32.")
    if asked == "auto":
        return Precision("fp16", "CUDA found: mixed precision with gradient scaling")
    reasons = {"fp16": "mixed precision with gradient scaling", "bf16": "mixed precision, no gradient scaling needed"}
    return Precision(asked, f"as configured: {reasons.get(asked, 'no autocast')}")


def _on_cpu(asked: str, flags: frozenset[str]) -> Precision:
    found = sorted(BF16_FLAGS & flags)
    if asked == "fp16":
        raise ConfigError(
            "optim.precision is 'fp16', which needs a CUDA GPU and none was found; allowed here: auto, bf16, fp32.",
            hint="Add --optim.precision auto",
        )
    if asked == "auto":
        if found:
            return Precision("bf16", f"no GPU; this CPU has {found[0]}: autocast")
        return Precision("fp32", "no GPU, and this CPU has neither avx512_bf16 nor amx_bf16")
    slow = asked == "bf16" and not found
    return Precision(asked, "as configured; slower than fp32 on this CPU" if slow else "as configured")


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Feature names of the first CPU; none where the system does not list them."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Options of `mallopt`, https://man7.org/linux/man-pages/man3/mallopt.3.html."""
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have glibc's allocator hold on to freed memory; whether it could be set so.

    By default large tensors get fresh pages from the kernel and give them back when they are freed. A step on a CPU
    makes the same tensors as the one before, so it would fault in and zero all of its memory anew: for the starter at
    32 texts of 24 tokens 25,000 page faults, a sixth of its time. The process keeps its peak of memory until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))


_SIGNS = {
    SafetensorError: ("No space left on device", "StorageFull"),
    RuntimeError: ("PytorchStreamWriter failed writing", "unexpected pos"),
}


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Inside the block a full disk is the OSError it is, also where safetensors or torch wrap it in their own."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        if any(isinstance(error, kind) and sign in str(error) for kind, signs in _SIGNS.items() for sign in signs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


@contextlib.contextmanager
def heap_out_of_sight() -> Iterator[None]:
    """Hide what lives already from the garbage collector: a million objects, nearly all of them of imported modules.

    Around each training the Trainer has it look at them all, half a second a time. Where somebody has hidden objects
    before, nothing is done, since showing them again would show those, too.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
