"""The one answer to which device torch computes on."""

from __future__ import annotations

import torch


def torch_device() -> torch.device:
    """The CUDA device of this process where torch can use one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_cuda() -> bool:
    """Whether `torch_device` is a CUDA device."""
    return torch_device().type == "cuda"
