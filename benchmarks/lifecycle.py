"""Restart the service and swap its bundle under load, and count what became of every request.

Starts `bentoml serve` on this machine's loopback. First one server takes over from another, several times, each ended
with SIGTERM; then the bundle of a running one is swapped to and fro, and once for one that must be refused. `/metrics`
is held against the clients' own counts. The exit code is 1 if a promise is broken.

For example:
  python -m benchmarks.lifecycle --bundle runs/monday/bundle --other runs/friday/bundle
  python -m benchmarks.lifecycle --bundle a --other b --requests 500 --times 2 --output /tmp/lifecycle
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arguments import positive_int
from benchmarks.measure.machine import describe_machine
from benchmarks.measure.progress import Progress
from benchmarks.soak.handover import hand_over
from benchmarks.soak.page import lifecycle_json, render_lifecycle, write_lifecycle
from benchmarks.soak.requests import good_requests, mixed_requests
from benchmarks.soak.swap import swap_bundles
from benchmarks.traffic.texts import read_texts
from shared.bundle import Bundle
from shared.cli import run_command
from shared.errors import ConfigError

DIFFERENT_REQUESTS = 1000


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lifecycle", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog="The last line of stdout is one JSON object.",
    )  # fmt: skip
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve")
    parser.add_argument("--other", type=Path, required=True, help="another verified bundle, to swap it with")
    parser.add_argument("--requests", type=positive_int, default=10_000, help="of each half (default %(default)s)")
    parser.add_argument("--times", type=positive_int, default=4, help="handovers, and swaps (default %(default)s)")
    parser.add_argument("--clients", type=positive_int, default=16, help="at once (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default %(default)s)")
    parser.add_argument("--output", type=Path, help="folder for lifecycle.md and lifecycle.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    if Bundle.read(options.bundle).seal == Bundle.read(options.other).seal:
        raise ConfigError(f"{options.bundle} and {options.other} are the same bundle.", hint="Name two different ones.")
    texts = read_texts(None)
    good = good_requests(texts, DIFFERENT_REQUESTS, options.seed)
    mixed = mixed_requests(texts, DIFFERENT_REQUESTS, options.seed)
    least, times, clients, seed = options.requests, options.times, options.clients, options.seed
    progress = Progress(2 * times + 3)
    handover = hand_over(
        options.bundle, good, least=least, times=times, clients=clients, seed=seed, progress=progress
    )  # fmt: skip
    swaps = swap_bundles(
        (options.bundle, options.other), mixed, least=least, times=times, clients=clients, seed=seed, progress=progress
    )
    progress.close()
    command = shlex.join(["python", "-m", "benchmarks.lifecycle", *(sys.argv[1:] if arguments is None else arguments)])
    machine = describe_machine()
    page = render_lifecycle(least, handover, swaps, command, machine)
    content = lifecycle_json(least, handover, swaps, machine)
    print(page)
    if options.output is not None:
        write_lifecycle(page, content, options.output)
        print(f"Written to {options.output}.")
    print(json.dumps(content))
    return 0 if content["kept"] else 1


if __name__ == "__main__":
    run_command(main)
