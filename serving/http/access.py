"""What is kept of every request: a count, a time and a line in the log; never a text."""

from __future__ import annotations

import logging
import re
import uuid

from serving.engine.state import ServiceState

logger = logging.getLogger("emotion.access")

PREDICT = "/predict"
LIMITED = frozenset({PREDICT})
"""Routes that do work: their number in flight is limited."""

PROTECTED = LIMITED | {"/model"}
"""Routes that need a key where keys are set."""

QUIET = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""Routes that probes call all the time: not logged while they succeed."""

KNOWN = PROTECTED | QUIET | {"/", "/docs", "/docs.json"}

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_id(given: str) -> str:
    """The id a client gave its request where it is plain, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def record(state: ServiceState, path: str, method: str, status: int, *, request_id: str, seconds: float) -> None:
    """Count and log a request that has its answer."""
    route = path if path in KNOWN else "other"
    state.metrics.finished(route, status, seconds)
    quiet = route in QUIET and status < 400
    if state.settings.access_log and not quiet:
        fields = {
            "request_id": request_id,
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
        }
        logger.info("request", extra={"fields": fields})
