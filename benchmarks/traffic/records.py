"""What became of every request: one entry each, whatever happened to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OK = "ok"
TIMEOUT = "timeout"
REFUSED = "connection refused"
BROKEN = "connection broken"
WRONG = "wrong answer"


@dataclass(frozen=True, slots=True)
class Record:
    """One request; times in seconds from the start of the run.

    Attributes:
        due: when it should have been sent: its arrival, or the moment its client was free.
        sent: when it was.
        done: when its outcome was known.
        outcome: ok; http 429 and the like; or what else went wrong.
    """

    due: float
    sent: float
    done: float
    outcome: str


@dataclass(frozen=True)
class Records:
    """All requests of a run, as columns of shape (N,)."""

    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    done: NDArray[np.float64]
    outcome: NDArray[np.str_]

    @classmethod
    def of(cls, rows: list[Record]) -> Records:
        """From single records, in the order they were due."""
        rows = sorted(rows, key=lambda row: row.due)
        times = np.array([(row.due, row.sent, row.done) for row in rows], dtype=np.float64).reshape(-1, 3)
        return cls(times[:, 0], times[:, 1], times[:, 2], np.array([row.outcome for row in rows], dtype=np.str_))

    def __len__(self) -> int:
        return len(self.due)

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Seconds from the moment a request was due to its outcome, waiting in the load tool included.

        Counting from the moment it was sent would leave out just the requests that a stalled service held back:
        coordinated omission. https://www.azul.com/files/HowNotToMeasureLatency_LLSummit_NYC_12Nov2013.pdf
        """
        return self.done - self.due

    @property
    def service_s(self) -> NDArray[np.float64]:
        """Seconds from sending to the outcome."""
        return self.done - self.sent

    @property
    def lag_s(self) -> NDArray[np.float64]:
        """Seconds the load tool sent late: when this is not small, the tool was the limit."""
        return self.sent - self.due

    def during(self, start: float, end: float) -> Records:
        """The requests that were due in this window."""
        chosen = (self.due >= start) & (self.due < end)
        return Records(self.due[chosen], self.sent[chosen], self.done[chosen], self.outcome[chosen])
