"""Mixed precision of the forward pass, chosen from what the machine computes fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

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
