"""What a server takes: processor time and memory of its whole process group."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """Since its start: seconds of processor time; and resident memory now."""

    cpu_s: float
    memory_mib: float


def usage_of(pid: int) -> Usage:
    """Of a process and all its descendants; what has ended counts as nothing."""
    cpu_s, memory = 0.0, 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu_s += times.user + times.system
                memory += process.memory_info().rss
    return Usage(cpu_s, memory / 2**20)
