"""How far a long prediction has come; shown on a terminal alone."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from shared.cli import is_terminal

PROGRESS_S = 0.5


@dataclass
class Progress:
    """Rows so far, those of an earlier run included.

    Attributes:
        rows: predicted.
        empty: of them, without a text.
        started_s: on the monotonic clock.
        shown_s: when the line was last drawn.
        before: rows that were done when this run began.
    """

    rows: int = 0
    empty: int = 0
    started_s: float = 0.0
    shown_s: float = 0.0
    before: int = 0

    def show(self, share: float | None, files: int = 0, of_files: int = 1) -> None:
        """Draw the line again, at most twice a second."""
        now = time.monotonic()
        if not is_terminal() or now - self.shown_s < PROGRESS_S:
            return
        self.shown_s = now
        rate = (self.rows - self.before) / max(now - self.started_s, 1e-9)
        done = f", {share:.0%} of the input" if share is not None else ""
        which = f", {files:,} of {of_files:,} files" if of_files > 1 else ""
        sys.stderr.write(f"\r{self.rows:,} rows{which}{done}, {rate:,.0f} rows/s\033[K")
        sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if is_terminal():
            sys.stderr.write("\r\033[K")
