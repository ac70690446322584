"""Where the program runs: installed versions, its own source revision, its cache folder, and whether CUDA answers."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

DISTRIBUTION = "emotion-classifiers"
ROOT = Path(__file__).resolve().parents[1]
"""Folder that holds the packages: that of the checkout, or site-packages."""

GIT_TIMEOUT_S = 20


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of Python and of each of these packages that is installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def source_revision() -> str | None:
    """What made a result: the git revision of this project's checkout, with `+` when files were changed.

    Outside of a checkout it is the installed version, such as `emotion-classifiers 0.2.0`; None where neither is known.
    A repository that merely holds the folder the package is installed in is not this project's and is never recorded.
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if _is_own_checkout(ROOT):
            revision = _git("rev-parse", "HEAD")
            return revision + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"{DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}"
    return None


def _is_own_checkout(root: Path) -> bool:
    """Whether `root` is the top of a repository that tracks this very file."""
    if Path(_git("rev-parse", "--show-toplevel")).resolve() != root:
        return False
    return bool(_git("ls-files", "--", str(Path(__file__).resolve().relative_to(root))))


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=GIT_TIMEOUT_S)
    return done.stdout.strip()


def cache_root() -> Path:
    """Folder of everything that can be made again: `$EMOTION_CACHE`, else `~/.cache/emotion-classifiers`."""
    configured = os.environ.get("EMOTION_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / DISTRIBUTION


def cuda_device_count() -> int:
    """CUDA devices the driver reports; 0 without a driver. Needs neither torch nor ONNX Runtime."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
