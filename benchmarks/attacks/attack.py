"""One hostile request: its bytes, how they are sent, and which answers would be right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

CANARY = "zebracrossing"
"""Stands in every hostile text: wherever it turns up in an answer or a log, a user's text could."""

Statuses = frozenset[int]


class Ending(Enum):
    """What the client does once it has sent its last byte."""

    WAIT = "waits for the answer"
    HALF_CLOSE = "closes its half of the connection, then waits"
    CLOSE = "goes away"
    RESET = "resets the connection"


@dataclass(frozen=True)
class Attack:
    """One connection of a hostile client.

    Attributes:
        kind: its row in the report.
        chunks: sent one after the other.
        allowed: for each answer that is due, in order, the statuses that are right.
        pause_s: between chunks.
        ending: what follows the last chunk.
        optional: whether it is also right that no answer comes, for a client that does not stay to read it.
        plain: whether the answer may lack the one form of errors and a request id: what is not HTTP never reaches the
            application, so the HTTP parser answers.
        errors_at: where a 200 is right, the places of the texts that must have an error of their own, of `results`.
        results: how many results a 200 must have; None where it is not an answer of `/predict`.
        innocent: the text, where the request is a good one among the hostile.
    """

    kind: str
    chunks: tuple[bytes, ...]
    allowed: tuple[Statuses, ...]
    pause_s: float = 0.0
    ending: Ending = Ending.WAIT
    optional: bool = False
    plain: bool = False
    errors_at: tuple[int, ...] = ()
    results: int | None = None
    innocent: str | None = None


def one_of(*statuses: int) -> tuple[Statuses, ...]:
    """A single answer is due, with one of these statuses."""
    return (frozenset(statuses),)


def post(body: bytes, headers: Mapping[str, str] | None = None, *, path: str = "/predict") -> bytes:
    """A whole request to `path`; `headers` are added, or take the place of the usual ones."""
    usual = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**usual, **(headers or {})}.items())]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def as_json(content: Any) -> bytes:
    """JSON in ASCII: half a surrogate pair becomes an escape, as a client in another language would send it."""
    return json.dumps(content).encode()
