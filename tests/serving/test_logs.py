from __future__ import annotations

import json
import logging
import os
import select
import time

import pytest

from serving import logs
from serving.logs import JsonLines, QueuedStderr


def record(message: str = "request", **fields: object) -> logging.LogRecord:
    found = logging.LogRecord("emotion.test", logging.INFO, __file__, 1, message, (), None)
    found.fields = fields
    return found


def read(descriptor: int, within_s: float = 10.0) -> bytes:
    """What can be read now, or soon; nothing written is a failure, not a wait without an end."""
    readable, _, _ = select.select([descriptor], [], [], within_s)
    assert readable, f"nothing was written within {within_s:g} s"
    return os.read(descriptor, 2**20)


def test_a_line_is_json_with_its_fields_and_of_an_exception_no_message():
    try:
        raise ValueError("somebody's text")
    except ValueError as error:
        failed = record("failed", request_id="abc")
        failed.exc_info = (ValueError, error, error.__traceback__)
    line = JsonLines().format(failed)
    content = json.loads(line)
    assert (content["level"], content["logger"], content["request_id"]) == ("info", "emotion.test", "abc")
    assert content["exception"] == "ValueError"
    assert "test_logs.py" in content["frames"][0]
    assert "somebody" not in line


def test_lines_are_written_in_their_order():
    reading, writing = os.pipe()
    handler = QueuedStderr(writing)
    for number in range(50):
        handler.emit(record(str(number)))
    handler.flush()
    lines = read(reading).decode().splitlines()
    assert [json.loads(line)["message"] for line in lines] == [str(number) for number in range(50)]


def test_nobody_waits_for_a_reader_and_what_was_dropped_is_counted_and_said(monkeypatch):
    monkeypatch.setattr(logs, "FLUSH_TIMEOUT_S", 0.1)
    reading, writing = os.pipe()
    handler = QueuedStderr(writing, max_waiting=100)
    begun = time.monotonic()
    for _ in range(5000):  # each about 200 bytes, into a pipe of 64 KiB
        handler.emit(record("x" * 100))
    handler.flush()
    assert time.monotonic() - begun < 5
    assert handler.dropped > 0
    content, end = b"", time.monotonic() + 10
    notice = f'"dropped_lines": {handler.dropped}}}\n'.encode()
    while notice not in content or len(content.splitlines()) - content.count(b"dropped_lines") < 5000 - handler.dropped:
        assert time.monotonic() < end
        content += read(reading)
    assert len(content.splitlines()) - content.count(b"dropped_lines") == 5000 - handler.dropped


def test_a_reader_that_has_gone_ends_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    handler = QueuedStderr(writing)
    handler.emit(record("one"))
    handler.flush()
    handler.emit(record("two"))
    handler.flush()
    assert handler.dropped == 2


@pytest.fixture
def library():
    found = logging.getLogger("uvicorn.error")
    kept = (found.handlers, found.propagate, found.level, logging.getLogger(logs.LOGGER).handlers)
    found.setLevel(logging.NOTSET)  # whatever an earlier test's server left
    yield found
    found.handlers, found.propagate, found.level, logging.getLogger(logs.LOGGER).handlers = kept


def test_libraries_write_in_the_same_form(monkeypatch, library):
    reading, writing = os.pipe()
    own = logging.getLogger(logs.LOGGER)
    own.handlers = [QueuedStderr(writing)]
    logs.configure_logging(libraries=True)
    library.warning("Invalid HTTP request received.")
    logs.flush_logs()
    content = json.loads(read(reading))
    assert (content["logger"], content["message"]) == ("uvicorn.error", "Invalid HTTP request received.")
