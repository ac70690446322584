"""How the service is declared to BentoML; read from the environment when the service is declared, before it starts."""

from __future__ import annotations

import os
from typing import Any

from serving.engine.settings import PREFIX, Settings

TRACE_ENDPOINT = f"{PREFIX}TRACE_ENDPOINT"
TRACE_SAMPLE_RATE = f"{PREFIX}TRACE_SAMPLE_RATE"
UNTRACED = r"^(?!\w+://[^/]*/(predict|model)$)"
"""All addresses but those of the two routes that work: probes are too many, other paths are a client's own words."""
GRACE_S = 5.0


def bentoml_options() -> dict[str, Any]:
    """Arguments of `bentoml.service`; a value that is not allowed is left to `read_settings` to complain about."""
    deadline_s = _number("DEADLINE_MS", Settings.model_fields["deadline_ms"].default) / 1000
    return {
        "workers": int(_number("PROCESSES", 1)),
        # BentoML's own time limit holds a timer a request until it ends: kept short, but behind the deadline
        "traffic": {"timeout": deadline_s + GRACE_S},
        # its series are named after raw paths, without bound; ours: serving/telemetry/metrics.py
        "metrics": {"enabled": False},
        # ours is structured and has request ids: serving/logs.py
        "logging": {"access": {"enabled": False}},
        "tracing": _tracing(),
    }


def traces() -> bool:
    """Whether somebody collects traces."""
    return bool(os.environ.get(TRACE_ENDPOINT))


def _tracing() -> dict[str, Any]:
    """OTLP over HTTP to $EMOTION_TRACE_ENDPOINT, no span at all without one.

    BentoML's middleware makes four spans a request even where nobody collects them, three quarters of the time that an
    empty request takes, so every path is excluded then.
    """
    if not traces():
        return {"excluded_urls": ".*"}
    return {
        "exporter_type": "otlp",
        "sample_rate": min(1.0, _number("TRACE_SAMPLE_RATE", 1.0)),
        "otlp": {"protocol": "http", "endpoint": os.environ[TRACE_ENDPOINT]},
        "excluded_urls": UNTRACED,
    }


def _number(name: str, default: float) -> float:
    try:
        value = float(os.environ.get(f"{PREFIX}{name}") or default)
    except ValueError:
        return default
    return value if 0 < value < float("inf") else default
