"""Reads `/metrics`: how many requests the service says it has answered."""

from __future__ import annotations

import asyncio
import urllib.request
from collections import Counter

from benchmarks.soak.crowd import Crowd

EVERY_S = 0.25


def parse_answers(text: str, route: str = "/predict") -> Counter[int]:
    """Answers of a route by status, in Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    found: Counter[int] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "emotion_requests_total" and sample.labels.get("route") == route:
                found[int(sample.labels["status"])] += int(sample.value)
    return found


def scrape(url: str) -> Counter[int]:
    """The answers that the service counts now."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:
        return parse_answers(response.read().decode())


class Watcher:
    """Scrapes all the time while a crowd asks, and holds the figures against the crowd's own.

    Attributes:
        scrapes: how many.
        wrong: those that said more than was sent, or less than had been answered before, in words.
    """

    def __init__(self, url: str, crowd: Crowd) -> None:
        self._url = url
        self._crowd = crowd
        self.scrapes = 0
        self.wrong: list[str] = []

    async def watch(self) -> None:
        """Go on until cancelled."""
        while True:
            least = self._crowd.tally.answered
            counted = (await asyncio.to_thread(scrape, self._url)).total()
            most = self._crowd.tally.sent
            self.scrapes += 1
            if not least <= counted <= most:
                self.wrong.append(f"{counted} counted; {least} were answered before, {most} sent after")
            await asyncio.sleep(EVERY_S)
