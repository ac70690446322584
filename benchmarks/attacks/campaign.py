"""A whole attack on a running service: warm it up, attack it, and look at it afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.judge import Judge
from benchmarks.attacks.log import LogFindings, inspect_log
from benchmarks.attacks.mix import attacks
from benchmarks.attacks.schema import SchemaRun, fuzz_schema
from benchmarks.attacks.sender import send
from benchmarks.attacks.truth import truth_of
from benchmarks.measure.progress import Progress
from benchmarks.peers.launch import Running
from benchmarks.peers.usage import usage_of

PARTS = 10
"""Memory is read after each."""

SETTLE_S = 3.0
"""The server finishes what clients left behind before its memory is read."""


@dataclass(frozen=True)
class Plan:
    """How much of what.

    Attributes:
        requests: to send, schemathesis' included.
        schema: how many of them schemathesis invents.
        warmup: attacks of the same kinds before memory is first read: the first large bodies grow the allocator's
            pools once, which is no leak.
        clients: at the same time.
        seed: of everything that is drawn.
        limit_s: the attack ends after so long, complete or not.
    """

    requests: int = 20_000
    schema: int = 1_000
    warmup: int = 2_000
    clients: int = 16
    seed: int = 0
    limit_s: float = 3600.0


@dataclass(frozen=True)
class Campaign:
    """What came of it.

    Attributes:
        plan: what was to be done.
        judge: with the count of every answer.
        schema: what schemathesis found.
        log: what the log gave away.
        memory_mib: of the whole process group, after the warm-up, after each part, and at rest.
        ended: processes of the service that were gone afterwards.
        seconds: of the attack.
    """

    plan: Plan
    judge: Judge
    schema: SchemaRun
    log: LogFindings
    memory_mib: tuple[float, ...]
    ended: int
    seconds: float

    @property
    def growth(self) -> float:
        """Memory gained from the first reading to the last, in per cent."""
        return 100 * (self.memory_mib[-1] / self.memory_mib[0] - 1)


def attack_service(
    server: Running, plan: Plan, innocents: Sequence[str], tolerance: float, progress: Progress
) -> Campaign:
    """Attack, judge every answer, and read memory and log.

    Raises:
        NotReadyError: when good requests are not answered well before the attack, or after it.
    """
    progress.step("warming up")
    truth = truth_of(server.address, innocents)
    judge = Judge(truth, tolerance)
    # every kind by all clients at once, which is the peak of each
    warmup = attacks(plan.warmup, plan.seed + 1, innocents, first=plan.clients)
    _fire(server, plan.clients, warmup, Judge(truth, tolerance))
    time.sleep(SETTLE_S)
    alive, skipped, start = _processes(server.pid), len(server.log), time.monotonic()
    memory = [usage_of(server.pid).memory_mib]

    def late() -> bool:
        return time.monotonic() - start > plan.limit_s

    progress.step("schemathesis")
    schema = fuzz_schema(server.url, plan.schema, plan.seed, judge, late)
    for part in range(PARTS):
        progress.step(f"{judge.sent:,} of {plan.requests:,} sent, {judge.wrong} wrong")
        # what schemathesis left of its share goes to the others
        count = (plan.requests - judge.sent) // (PARTS - part)
        stream = attacks(count, plan.seed + 2 + part, innocents, first=int(part == 0))
        _fire(server, plan.clients, (attack for attack in stream if not late()), judge)
        memory.append(usage_of(server.pid).memory_mib)
    seconds = time.monotonic() - start
    truth_of(server.address, innocents)
    time.sleep(SETTLE_S)
    memory.append(usage_of(server.pid).memory_mib)
    return Campaign(
        plan, judge, schema,
        log=inspect_log(server.log[skipped:], schema.texts),
        memory_mib=tuple(round(value, 1) for value in memory),
        ended=len(alive - _processes(server.pid)),
        seconds=round(seconds, 1),
    )  # fmt: skip


def _fire(server: Running, clients: int, stream: Iterator[Attack], judge: Judge) -> None:
    asyncio.run(_fire_all(server.address, clients, stream, judge))


async def _fire_all(address: tuple[str, int], clients: int, stream: Iterator[Attack], judge: Judge) -> None:
    async def client() -> None:
        for attack in stream:  # all clients draw from the one stream
            judge.judge(attack, await send(attack, *address))

    await asyncio.gather(*(client() for _ in range(clients)))


def _processes(pid: int) -> set[psutil.Process]:
    """A server and its descendants; one that ended and was replaced is another process."""
    root = psutil.Process(pid)
    return {root, *root.children(recursive=True)}
