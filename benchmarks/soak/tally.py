"""What became of every request: answers by status, and those that were lost."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.attacks.sender import Answer


@dataclass(frozen=True)
class Request:
    """The bytes of one request, and the status that is right."""

    data: bytes
    expected: int


@dataclass
class Tally:
    """Counts of a run.

    A request is lost when its bytes went out on an open connection and no whole HTTP answer came back. Where nobody
    listened, or where the server had closed its side of an idle connection before the first byte went out, nothing was
    taken on, so nothing is lost: the request goes to the next server.

    Attributes:
        sent: requests whose bytes went out.
        statuses: answers by status.
        unexpected: answers with another status than the right one, by status.
        seals: good answers, by the seal of the bundle that gave them.
        lost: why, for each lost request.
        refused: connections that were refused.
        closed: idle connections that the server had closed.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: Counter[int] = field(default_factory=Counter)
    seals: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    closed: int = 0

    @property
    def answered(self) -> int:
        """Requests that have an answer."""
        return self.statuses.total()

    @property
    def done(self) -> int:
        """Requests whose end is known."""
        return self.answered + len(self.lost)

    def note(self, request: Request, answer: Answer) -> None:
        """Take one answer in."""
        self.statuses[answer.status] += 1
        if answer.status != request.expected:
            self.unexpected[answer.status] += 1
        if answer.status == 200:
            self.seals[json.loads(answer.body)["model"]] += 1
