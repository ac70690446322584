"""The machine and the versions a figure was measured with: without them it means nothing."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.cli import default_threads
from shared.environment import package_versions, source_revision

PACKAGES = (
    "torch", "transformers", "tokenizers", "onnxruntime-gpu", "onnxruntime", "optimum", "optimum-onnx", "onnx",
    "openvino", "numpy", "bentoml", "starlette", "fastapi", "uvicorn",
)  # fmt: skip
_TELLING_FLAGS = re.compile(r"avx2|fma|f16c|avx512\w*|avx_vnni|amx_\w+|neon|asimd\w*|sve\w*|i8mm|bf16|dotprod")


def describe_machine(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """CPU, memory, load, operating system, GPU, package versions, source revision and time, for JSON."""
    return {
        "cpu": _cpu_model(),
        "flags": _flags(),
        "cores": os.cpu_count(),
        "usable_cores": default_threads(),
        "caches": _caches(),
        "memory_gib": _memory_gib(),
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": package_versions(packages),
        "revision": source_revision(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _cpuinfo(field: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^{field}\s*:\s*(.*)$", text, re.MULTILINE | re.IGNORECASE)
    return found.group(1).strip() if found else ""


def _cpu_model() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _flags() -> list[str]:
    """The CPU's instruction sets that matter for matrix products."""
    flags = (_cpuinfo("flags") or _cpuinfo("features")).split()
    return sorted(flag for flag in flags if _TELLING_FLAGS.fullmatch(flag))


def _caches() -> dict[str, str]:
    """Size of each data cache of the first core, by level."""
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    found = {}
    for folder in folders:
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _gpu() -> str | None:
    return _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
