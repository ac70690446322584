"""Versions, devices and room on the disk."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from shared.errors import PreflightError
from shared.modeling.device import has_cuda
from training.checks.check import Check
from training.config import Config

FREE_BYTES = 1_000_000_000
"""Least free space to start with: a small model's checkpoints and bundle."""
OLDEST = {"torch": (2, 6), "transformers": (4, 57)}
"""What pyproject.toml asks for."""


def environment_checks(config: Config) -> list[Check]:
    """Checks that need neither data nor model."""
    return [Check("versions", check_versions), Check("disk", lambda: check_disk(config.run_dir))]


def check_versions() -> str:
    """Whether the packages are new enough, and what there is to compute on.

    Raises:
        PreflightError: for a package that is too old.
    """
    found = {name: version(name) for name in OLDEST}
    for name, oldest in OLDEST.items():
        if _numbers(found[name]) < oldest:
            needed = ".".join(map(str, oldest))
            raise PreflightError(
                f"{name} is {found[name]}; {needed} or newer is needed.", hint=f"pip install -U '{name}>={needed}'"
            )
    packages = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, {packages}; {devices()}"


def devices() -> str:
    """The devices that training can use, in words."""
    if not has_cuda():
        return "no GPU"
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return ", ".join(f"{found.name} ({found.total_memory / 1e9:.0f} GB)" for found in names)


def check_disk(folder: Path) -> str:
    """Whether there is room for a run in a folder that exists.

    Raises:
        PreflightError: when there is too little.
    """
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise PreflightError(
            f"only {free / 1e9:.1f} GB are free for {folder.absolute()}; at least {FREE_BYTES / 1e9:g} GB are needed.",
            hint="Free some space, or choose another place with --run.output_dir.",
        )
    return f"{free / 1e9:.0f} GB free for {folder}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])
