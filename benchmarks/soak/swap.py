"""The bundle is swapped under load, several times, and once for one that was tampered with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure.progress import Progress
from benchmarks.peers.launch import OURS, Running, running
from benchmarks.soak.crowd import Crowd
from benchmarks.soak.scrape import Watcher, scrape
from benchmarks.soak.tally import Request, Tally
from shared.bundle import Bundle
from shared.errors import NotReadyError

WATCH_S = 0.2
"""Between the service's looks at its bundle."""

TAKEN_S = 120.0
REFUSED = "The bundle in service stays."
"""What the log says of a bundle that is not taken."""


@dataclass(frozen=True)
class Swaps:
    """What came of it.

    Attributes:
        tally: of all requests.
        seals: of the two bundles.
        taken: swaps that came into force under load.
        refused: whether the tampered bundle was refused under load.
        counted: answers by status, as `/metrics` says at the end.
        scrapes: of `/metrics` under load.
        off: scrapes that cannot be true, in words.
    """

    tally: Tally
    seals: tuple[str, str]
    taken: int
    refused: bool
    counted: Counter[int]
    scrapes: int
    off: list[str]


def swap_bundles(
    bundles: tuple[Path, Path], requests: Sequence[Request], *, least: int, times: int, clients: int, seed: int,
    progress: Progress,
) -> Swaps:  # fmt: skip
    """Move the link a server follows to and fro under load, then to a bundle that must be refused.

    Raises:
        NotReadyError: when the server does not start, or a swap does not come into force.
    """
    seals = (Bundle.read(bundles[0]).seal, Bundle.read(bundles[1]).seal)
    with tempfile.TemporaryDirectory(prefix="benchmark-swap-") as folder:
        link = Path(folder) / "current"
        bad = tampered_copy(bundles[0], Path(folder) / "tampered")
        move_link(link, bundles[0])
        progress.step("starting the server")
        with running(OURS, link, EMOTION_WATCH_S=str(WATCH_S)) as server:
            crowd = Crowd([server.address], requests, clients, seed)
            watcher = Watcher(server.url, crowd)
            targets = [(bundles[number % 2], seals[number % 2]) for number in range(1, times + 1)]
            operator = _Operator(server, link, targets, bad, least, progress)
            asyncio.run(_watched(crowd, watcher, least, operator.work))
            counted = scrape(server.url)
    return Swaps(
        crowd.tally, seals, operator.taken, operator.refused, counted=counted, scrapes=watcher.scrapes,
        off=watcher.wrong,
    )  # fmt: skip


@dataclass
class _Operator:
    """Who moves the link, evenly over the requests."""

    server: Running
    link: Path
    targets: Sequence[tuple[Path, str]]
    bad: Path
    least: int
    progress: Progress
    taken: int = 0
    refused: bool = False

    async def work(self, crowd: Crowd) -> None:
        """To each target in turn, then to the bad one."""
        steps = len(self.targets) + 2
        for number, (path, seal) in enumerate(self.targets, 1):
            await crowd.reached(self.least * number // steps)
            self.progress.step(f"swap {number}: {crowd.tally.done:,} requests, {len(crowd.tally.lost)} lost")
            move_link(self.link, path)
            await _until(partial(self._serves, seal), f"the bundle {seal[:12]}")
            self.taken += 1
        await crowd.reached(self.least * (steps - 1) // steps)
        self.progress.step("swap for a bundle that was tampered with")
        move_link(self.link, self.bad)
        await _until(lambda: REFUSED in self.server.log, "the refusal of a tampered bundle")
        self.refused = True

    def _serves(self, seal: str) -> bool:
        with urllib.request.urlopen(f"{self.server.url}/model", timeout=30) as response:
            return bool(json.load(response)["seal"] == seal)


async def _watched(crowd: Crowd, watcher: Watcher, least: int, operate: Callable[[Crowd], Awaitable[None]]) -> None:
    watching = asyncio.create_task(watcher.watch())
    try:
        await crowd.run(least, operate)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TAKEN_S
    while not await asyncio.to_thread(condition):
        if time.monotonic() > end:
            raise NotReadyError(f"{what} did not come within {TAKEN_S:g} s.")
        await asyncio.sleep(0.05)


def move_link(link: Path, target: Path) -> None:
    """Have `link` point at `target`, at no moment at nothing."""
    new = link.with_suffix(".new")
    new.symlink_to(target.absolute())
    new.replace(link)


def tampered_copy(bundle: Path, folder: Path) -> Path:
    """A copy whose thresholds differ by a byte from what was sealed."""
    shutil.copytree(bundle, folder)
    file = folder / "thresholds.json"
    file.write_bytes(file.read_bytes() + b" ")
    return folder
