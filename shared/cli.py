"""What every command shares: a parser and errors of one clear line, sensible threads, progress only for people."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from shared.errors import ConfigError, EmotionError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_OS_HINTS = {
    errno.ENOSPC: "The disk is full: free some space and run the command again.",
    errno.EDQUOT: "The disk quota is used up: free some space and run the command again.",
    errno.EACCES: "Check the permissions of this path.",
    errno.EEXIST: "A file is where a folder is needed: choose another path.",
    errno.ENOTDIR: "A file is where a folder is needed: choose another path.",
    errno.EIO: "The disk failed: look at the system's log, then run the command again.",
    errno.ESTALE: "The network file system has lost it: mount it again, then run the command again.",
    errno.EROFS: "The file system is read-only: choose another output folder.",
}

_MODULE_COMMAND = re.compile(r"python -m ([\w.]*\w)")
_names: Mapping[str, str] = {}
"""Module -> what its command is called in this process, where that is not `python -m MODULE`."""


@contextlib.contextmanager
def called_as(names: Mapping[str, str]) -> Iterator[None]:
    """Give commands other names, module -> name: help, errors and hints use them while the block runs."""
    global _names  # noqa: PLW0603  (a process is one command)
    before, _names = _names, names
    try:
        yield
    finally:
        _names = before


def as_called(text: str) -> str:
    """`text` with every `python -m MODULE` as the user calls that command here."""
    return _MODULE_COMMAND.sub(lambda found: _names.get(found[1], found[0]), text)


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage, so that a mistake is one line.

    Args:
        prog: the module of the command.
        options: further arguments of `ArgumentParser`.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog=as_called(f"python -m {prog}"), **options)

    def error(self, message: str) -> NoReturn:
        """Raise the mistake.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}.", hint=f"See: {self.prog} --help")


def positive(text: str) -> int:
    """A whole number of 1 or more, for `type=` of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 1 or more")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1, for `type=` of an argument."""
    with contextlib.suppress(ValueError):
        if 0.0 <= float(text) <= 1.0:
            return float(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and exit; a user's mistake gives one line on stderr and exit code 2, Ctrl-C gives 130."""
    gc.set_threshold(700, 10, 100)  # rounds over all objects: seven in the imports of a training, a tenth of their time
    try:
        code = main() or 0
        sys.stdout.flush()
    except EmotionError as error:
        code = _complain(str(error))
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]  # the reader has gone; nothing may be flushed any more
        code = EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _OS_HINTS:
            raise
        where = f" ({error.filename})" if error.filename else ""
        code = _complain(f"{error.strerror}{where}. {_OS_HINTS[error.errno]}")
    except KeyboardInterrupt:
        code = _complain("interrupted", EXIT_INTERRUPTED)
    sys.exit(code)


def _complain(message: str, code: int = EXIT_USER_ERROR) -> int:
    sys.stdout.flush()
    print(f"error: {as_called(' '.join(message.split()))}", file=sys.stderr)
    return code


def default_threads() -> int:
    """CPU cores this process may really use: its affinity, capped by the container's CPU quota (at least 1)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_cpus()
    return max(1, min(allowed, math.floor(quota)) if quota else allowed)


def _cgroup_cpus(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """The smallest CPU quota, in cores, of this process's control group and those around it; None where none has one.

    Args:
        root: where control groups are mounted, version 2 or 1.
        membership: lines `number:controllers:path`, https://man7.org/linux/man-pages/man7/cgroups.7.html.
    """
    inside = {"": "/", "cpu": "/"}
    with contextlib.suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            inside.update(dict.fromkeys(controllers.split(","), path))
    quotas = [
        *(_quota_v2(folder) for folder in _upwards(root, inside[""])),
        *(_quota_v1(folder) for folder in _upwards(root / "cpu", inside["cpu"])),
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(root: Path, path: str) -> list[Path]:
    """The folder of a control group and of every one around it; a container may show no more than the root."""
    inside = PurePosixPath(path.strip("/"))
    return [root / part for part in (inside, *inside.parents) if ".." not in part.parts]


def _quota_v2(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    return None


def _quota_v1(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        period_us = int((folder / "cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else None
    return None


def is_terminal() -> bool:
    """Whether a person watches: progress is drawn only then."""
    return sys.stderr.isatty()
