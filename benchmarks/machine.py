"""The machine a metric was measured on."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from typing import Any

import psutil

from shared.cli import default_threads
from shared.environment import package_versions, source_revision

PACKAGES = (
    "torch", "transformers", "tokenizers", "onnxruntime-gpu", "onnxruntime", "optimum", "optimum-onnx", "onnx",
    "numpy", "bentoml", "starlette", "fastapi", "uvicorn",
)  # fmt: skip
_TELLING_FLAGS = re.compile(r"avx2|fma|f16c|avx512\w*|avx_vnni|amx_\w+|neon|asimd\w*|sve\w*|i8mm|bf16|dotprod")


def describe_machine(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """CPU, memory, load, operating system, GPU, package versions, source revision and time, for JSON."""
    from cpuinfo import get_cpu_info

    cpu = get_cpu_info()
    return {
        "cpu": cpu.get("brand_raw") or platform.processor() or platform.machine(),
        "flags": sorted(flag for flag in cpu.get("flags", []) if _TELLING_FLAGS.fullmatch(flag)),
        "cores": os.cpu_count(),
        "usable_cores": default_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": package_versions(packages),
        "revision": source_revision(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _gpu() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip() or None
    return None
