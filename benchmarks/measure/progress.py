"""A line of progress for a person who watches; nothing where nobody does."""

from __future__ import annotations

import sys
import time

from shared.cli import is_terminal


class Progress:
    """Counts steps on one line of stderr.

    Args:
        steps: how many `step` calls are to come.
        shown: whether to draw; only on a terminal when None.
    """

    def __init__(self, steps: int, *, shown: bool | None = None) -> None:
        self._steps = steps
        self._done = 0
        self._shown = is_terminal() if shown is None else shown
        self._start = time.monotonic()

    def step(self, doing: str) -> None:
        """Say what begins now."""
        self._done += 1
        if self._shown:
            seconds = time.monotonic() - self._start
            line = f"[{self._done}/{self._steps}] {seconds:4.0f} s  {doing}"
            sys.stderr.write(f"\r\033[K{line[:110]}")
            sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
