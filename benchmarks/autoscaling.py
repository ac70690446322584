"""What an autoscaler on the depth of the queue does with a load: `python -m benchmarks.autoscaling --help`.

A simulation, by arithmetic alone: texts arrive, wait in one queue and are read by the replicas one after the other. The
rule is that of Kubernetes' HorizontalPodAutoscaler on an average per replica,
desired = ceil(texts waiting / target), with its start-up time and its scale-down window. The rate of a replica comes
from a measurement of your own service (`python -m benchmarks.load`, or `texts_per_s` of `benchmarks.serving`).
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """The rule: how many replicas at least and at most, and when there are more or fewer.

    Attributes:
        target: texts waiting per replica; above it there are more.
        least, most: replicas.
        every_s: seconds between two looks at the queue.
        start_s: seconds from the decision until a new replica reads.
        down_s: seconds for which fewer must have been enough before one goes.
    """

    target: float = 50.0
    least: int = 1
    most: int = 1
    every_s: float = 15.0
    start_s: float = 20.0
    down_s: float = 300.0


@dataclass(frozen=True)
class Outcome:
    """What became of the texts: waits in seconds before reading begins, and the replicas that were paid for."""

    texts: int
    mean_wait_s: float
    p99_wait_s: float
    largest_wait_s: float
    most_replicas: int
    replica_hours: float


def simulate(arrivals: Iterable[float], service_s: Callable[[], float], rule: Scaling) -> Outcome:
    """Waits of all texts, first come, first served.

    Args:
        arrivals: times in seconds, in order.
        service_s: draws how long a replica reads one text.
        rule: of the replicas.
    """
    free = [0.0] * rule.least  # when each replica has read what it was given
    heapq.heapify(free)
    queue: deque[float] = deque()  # when the texts came that wait; the next free replica takes the oldest
    enough: deque[tuple[float, int]] = deque()  # what was desired within the last down_s
    waits: list[float] = []
    largest, paid, look, last = rule.least, 0.0, rule.every_s, 0.0

    def read(until: float) -> None:
        while queue and free[0] <= until:
            start = max(free[0], queue[0])
            waits.append(start - queue.popleft())
            heapq.heapreplace(free, start + service_s())

    for now in chain(arrivals, [math.inf]):
        while look <= now and (now < math.inf or queue):  # after the last text it goes on until all are read
            read(look)
            paid += len(free) * (look - last)
            last = look
            enough.append((look, min(rule.most, max(rule.least, math.ceil(len(queue) / rule.target)))))
            while enough[0][0] < look - rule.down_s:
                enough.popleft()
            wanted = max(number for _, number in enough)
            for _ in range(len(free), wanted):
                heapq.heappush(free, look + rule.start_s)
            while len(free) > wanted and free[0] <= look:  # one that is idle goes
                heapq.heappop(free)
            largest, look = max(largest, len(free)), look + rule.every_s
        if now < math.inf:
            queue.append(now)
            read(now)
    found, end = np.array(waits), max(free)
    hours = (paid + len(free) * max(0.0, end - last)) / 3600
    p99 = float(np.percentile(found, 99))
    return Outcome(len(found), float(found.mean()), p99, float(found.max()), largest, hours)


def steps(rates: Iterable[tuple[float, float]], random: np.random.Generator) -> Iterator[float]:
    """Poisson arrivals of `(seconds, texts a second)` one after the other."""
    begin = 0.0
    for seconds, rate in rates:
        number = int(random.poisson(seconds * rate))
        yield from (begin + np.sort(random.random(number)) * seconds).tolist()
        begin += seconds


def main() -> None:
    """Simulate ten minutes before, during and after a peak, and print one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.autoscaling", description=__doc__)
    parser.add_argument(
        "--texts_per_s", type=float, default=700.0, help="measured, of one replica (default: %(default)s)"
    )
    parser.add_argument(
        "--load", type=float, default=350.0, help="texts a second before and after (default: %(default)s)"
    )
    parser.add_argument("--peak", type=float, default=2000.0, help="texts a second in between (default: %(default)s)")
    for name, value in asdict(Scaling(most=8)).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help="of the rule (default: %(default)s)")
    options = vars(parser.parse_args())
    rate, load, peak = (options.pop(name) for name in ("texts_per_s", "load", "peak"))
    random = np.random.default_rng(0)
    times = steps(((600, load), (600, peak), (600, load)), random)
    sys.stdout.write(json.dumps(asdict(simulate(times, lambda: 1 / rate, Scaling(**options))), indent=2) + "\n")


if __name__ == "__main__":
    main()
