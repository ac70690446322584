"""Reads a service's log after an attack: no text of anybody, no traceback, no error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.attacks.attack import CANARY

LEAST_TELLING = 8
"""Shorter strings of a schema fuzzer occur in a log by chance."""


@dataclass(frozen=True)
class LogFindings:
    """Lines of a log that must not be there, by what is wrong with them; and how many lines were read."""

    lines: int
    excerpts: tuple[str, ...]
    tracebacks: tuple[str, ...]
    errors: tuple[str, ...]


def inspect_log(log: str, texts: Iterable[str] = ()) -> LogFindings:
    """What a log gives away.

    Args:
        log: what the service wrote while it was attacked.
        texts: strings it was sent, apart from the canary that every text of ours carries; short ones are left out.
    """
    lines = log.splitlines()
    # a text may be in the log as it is, or as JSON escapes it
    telling = {form for text in texts if len(text) >= LEAST_TELLING for form in (text, json.dumps(text)[1:-1])}
    present = [text for text in telling if text in log]
    needles = (CANARY, *present)
    return LogFindings(
        lines=len(lines),
        excerpts=tuple(line for line in lines if any(needle in line for needle in needles)),
        tracebacks=tuple(line for line in lines if "Traceback" in line),
        errors=tuple(line for line in lines if _is_error(line)),
    )


def _is_error(line: str) -> bool:
    """Whether a line is of level error or worse, or carries an exception; ours are JSON, others say it in a word."""
    content: Any = None
    if line.startswith("{"):
        try:
            content = json.loads(line)
        except ValueError:
            return True  # a line of ours that a text has broken
    if not isinstance(content, dict):
        return "ERROR" in line or "CRITICAL" in line
    return content.get("level") in ("error", "critical") or "exception" in content
