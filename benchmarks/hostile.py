"""Attack the service with thousands of hostile requests, and check every answer, its memory and its log.

Starts `bentoml serve` on this machine's loopback. Attackers send fuzzed JSON, huge numbers, lone surrogates, NUL bytes,
10 MB bodies, deep nesting and what schemathesis makes of the OpenAPI document; they are slow, close half of their
connection, go away, or do not speak HTTP. Good requests run in between. The exit code is 1 if a promise is broken.

For example:
  python -m benchmarks.hostile --bundle runs/latest/bundle
  python -m benchmarks.hostile --requests 500 --schema 40 --warmup 100 --seed 7 --output /tmp/hostile
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arguments import positive_int, positive_number
from benchmarks.attacks.campaign import PARTS, Plan, attack_service
from benchmarks.attacks.page import hostile_json, render_hostile, write_hostile
from benchmarks.measure.machine import describe_machine
from benchmarks.measure.progress import Progress
from benchmarks.peers.launch import OURS, running
from benchmarks.traffic.texts import read_texts
from shared.bundle import default_bundle_path
from shared.cli import run_command

INNOCENTS = 30
TOLERANCE = 1e-5
"""How far a probability may move when its text runs in a batch with others."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The last line of stdout is one JSON object.",
    )  # fmt: skip
    usual = Plan()
    parser.add_argument("--bundle", type=Path, help="what to serve (default: $EMOTION_BUNDLE, else runs/latest/bundle)")
    parser.add_argument("--requests", type=positive_int, default=usual.requests, help="to send (default %(default)s)")
    parser.add_argument(
        "--schema", type=positive_int, default=usual.schema,
        help="of these, invented by schemathesis, a tenth of a second or more each (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--warmup", type=positive_int, default=usual.warmup, help="before memory is first read (default %(default)s)"
    )
    parser.add_argument("--clients", type=positive_int, default=usual.clients, help="at once (default %(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of all that is drawn (default %(default)s)")
    parser.add_argument(
        "--limit-s", type=positive_number, default=usual.limit_s, help="end the attack after (default %(default)g)"
    )
    parser.add_argument(
        "--tolerance", type=positive_number, default=TOLERANCE,
        help="how far an innocent's probability may move when its text runs in a batch (default %(default)g)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="folder for hostile.md and hostile.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parse_arguments(arguments)
    bundle = (options.bundle or default_bundle_path()).absolute()
    plan = Plan(options.requests, options.schema, options.warmup, options.clients, options.seed, options.limit_s)
    innocents = random.Random(plan.seed).sample(read_texts(None), INNOCENTS)
    progress = Progress(PARTS + 3)
    progress.step("starting the service")
    with running(OURS, bundle, EMOTION_ACCESS_LOG="true") as server:
        found = attack_service(server, plan, innocents, options.tolerance, progress)
    progress.close()
    machine = describe_machine()
    command = shlex.join(["python", "-m", "benchmarks.hostile", *(sys.argv[1:] if arguments is None else arguments)])
    print(render_hostile(found, command, machine))
    if options.output is not None:
        write_hostile(found, command, machine, options.output)
        print(f"Written to {options.output}.")
    content = hostile_json(found, machine)
    print(json.dumps(content))
    return 0 if content["kept"] else 1


if __name__ == "__main__":
    run_command(main)
