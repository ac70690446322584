"""Structured logs: one JSON object a line, with request ids and never with a text."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback

LOGGER = "emotion"


class JsonLines(logging.Formatter):
    """Formats a record as JSON; of an exception only its type and places, since its message may quote a text."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        content: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            content["exception"] = record.exc_info[0].__name__
            content["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(content, ensure_ascii=False)


def configure_logging() -> None:
    """Send the service's own log to stderr as JSON lines; calling it again changes nothing."""
    logger = logging.getLogger(LOGGER)
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
