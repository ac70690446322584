"""Structured logs: one JSON object a line, never a text, and never a request that waits for a line to be written."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from queue import SimpleQueue

LOGGER = "emotion"
LIBRARIES = ("bentoml", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio")
"""Loggers that would write in forms of their own, and wait for whoever reads them."""

MAX_WAITING_LINES = 10_000
"""Lines held while nobody reads the log; more are dropped and counted."""

WRITE_EVERY_S = 0.02
FLUSH_TIMEOUT_S = 1.0


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


class QueuedStderr(logging.Handler):
    """Hands lines to a thread that writes them: a full pipe stops the thread, not the event loop.

    Args:
        descriptor: of the file that is written to.
        max_waiting: lines held while it takes none.
    """

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING_LINES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._writing = False
        self.setFormatter(JsonLines())
        threading.Thread(target=self._write_forever, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or drop it."""
        if self._lines.qsize() >= self._max_waiting:
            self.dropped += 1
            return
        try:
            self._lines.put(self.format(record))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait until what is queued was written, but not for long."""
        end = time.monotonic() + FLUSH_TIMEOUT_S
        while (self._writing or not self._lines.empty()) and time.monotonic() < end:
            time.sleep(0.005)

    def _write_forever(self) -> None:
        reported = 0
        while True:
            lines = [self._lines.get()]
            self._writing = True
            while not self._lines.empty() and len(lines) < 1000:
                lines.append(self._lines.get())
            notice: list[str] = []
            if self.dropped > reported:
                reported = self.dropped
                notice.append(json.dumps({"level": "warning", "logger": "emotion.logs", "dropped_lines": reported}))
            if not self._write([*lines, *notice]):
                self.dropped += len(lines)
            self._writing = False
            time.sleep(WRITE_EVERY_S)  # several lines are written together

    def _write(self, lines: Sequence[str]) -> bool:
        """Whether the lines were written, now or as soon as there was room."""
        content = memoryview("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
        while content:
            try:
                content = content[os.write(self._descriptor, content) :]
            except BlockingIOError:  # the other end may have made the pipe so
                time.sleep(WRITE_EVERY_S)
            except OSError:  # nobody will ever read it again
                return False
        return True


def configure_logging(*, libraries: bool = False) -> None:
    """Send the service's own log to stderr as JSON lines; calling it again changes nothing.

    Args:
        libraries: those of `LIBRARIES` too.
    """
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, QueuedStderr) for handler in logger.handlers):
        handler = QueuedStderr(sys.stderr.fileno())
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
        atexit.register(handler.flush)
    for name in LIBRARIES if libraries else ():
        library = logging.getLogger(name)
        library.handlers = list(logger.handlers)
        library.propagate = False


def flush_logs() -> None:
    """Have what is queued written, where somebody reads it."""
    for handler in logging.getLogger(LOGGER).handlers:
        handler.flush()


def dropped_lines() -> int:
    """Lines that were dropped because nobody read the log."""
    return sum(getattr(handler, "dropped", 0) for handler in logging.getLogger(LOGGER).handlers)
