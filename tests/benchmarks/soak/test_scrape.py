from __future__ import annotations

import asyncio
import contextlib

from benchmarks.soak import scrape as module
from benchmarks.soak.crowd import Crowd
from benchmarks.soak.scrape import Watcher, parse_answers

PAGE = """# TYPE emotion_requests_total counter
emotion_requests_total{route="/predict",status="200"} 7.0
emotion_requests_total{route="/predict",status="422"} 2.0
emotion_requests_total{route="/model",status="200"} 5.0
# TYPE emotion_in_flight gauge
emotion_in_flight 1.0
"""


def test_answers_of_the_route_are_read_by_status():
    assert parse_answers(PAGE) == {200: 7, 422: 2}


def watched(monkeypatch, answered, sent):
    crowd = Crowd([], [], 0, 0)
    crowd.tally.statuses[200], crowd.tally.sent = answered, sent
    monkeypatch.setattr(module, "scrape", lambda _url: parse_answers(PAGE))
    watcher = Watcher("http://x", crowd)

    async def whole():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watcher.watch(), 0.1)

    asyncio.run(whole())
    return watcher


def test_a_scrape_between_what_was_answered_and_what_was_sent_is_right(monkeypatch):
    assert (watched(monkeypatch, 8, 12).wrong, watched(monkeypatch, 9, 9).wrong) == ([], [])


def test_a_scrape_that_cannot_be_true_is_found(monkeypatch):
    assert watched(monkeypatch, 10, 12).wrong == ["9 counted; 10 were answered before, 12 sent after"]
    assert watched(monkeypatch, 3, 8).wrong == ["9 counted; 3 were answered before, 8 sent after"]
