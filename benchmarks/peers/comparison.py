"""Everything one run of the server comparison measured, what was promised of it, and its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.measure import Seconds, Summary, percentile, speedup, summarise
from benchmarks.peers.launch import ADAPTIVE, BARE, OURS, PIPELINE
from benchmarks.rendering import Verdict, machine_table, markdown_table, number, outcome_table, spread, verdict_table

SATURATION_FLOORS = {PIPELINE.name: 15.0, BARE.name: 1.2, ADAPTIVE.name: 1.3}
MOST_OVERHEAD_MS = 2.0
MOST_TAIL = 4.0
STEADY_SHARE = 0.6
"""Load of the steady run, as a share of the throughput at saturation."""

QUICK_REFUSAL_MS = 50.0


@dataclass(frozen=True)
class Round:
    """One server at saturation for some seconds."""

    content: Mapping[str, Any]  # the digest of the load
    cpu_ms: float  # processor time of the server for each request
    memory_mib: float  # of the server, after it

    @property
    def throughput(self) -> float:
        """Requests answered well, a second."""
        return float(self.content["throughput_per_s"])


@dataclass(frozen=True)
class Comparison:
    """One run; `steady` and `overload` are of ours, empty where they were not run."""

    machine: Mapping[str, Any]  # see `describe_machine`
    bundle: str  # what was served
    clients: int  # at saturation
    saturation: Mapping[str, Sequence[Round]]  # rounds of each server, aligned
    alone_s: Mapping[str, Seconds]  # seconds a request of one client, shape (K,)
    predictor_s: Seconds  # of the bare predictor on the same K texts
    steady: Mapping[str, Any] = field(default_factory=dict)  # digest at `STEADY_SHARE` of saturation
    overload: Mapping[str, Any] = field(default_factory=dict)  # digest far above it, and what came after
    missing: Mapping[str, str] = field(default_factory=dict)  # servers that could not be started, and why

    def throughput(self, name: str) -> Summary:
        """Requests a second at saturation."""
        return summarise([one.throughput for one in self.saturation[name]])

    def ratio(self, peer: str) -> Summary | None:
        """How many times the throughput of ours is that of a peer, from the quotients within each round."""
        if peer not in self.saturation or OURS.name not in self.saturation:
            return None
        theirs = [one.throughput for one in self.saturation[peer]]
        mine = [one.throughput for one in self.saturation[OURS.name]]
        return speedup(mine, theirs) if all(theirs) else None

    def overhead_ms(self, name: str) -> float:
        """Median over the texts of what a server adds to the bare predictor."""
        return float(median((self.alone_s[name] - self.predictor_s) * 1e3))

    def alone_ms(self, name: str) -> float:
        """Median latency of one client."""
        return percentile(self.alone_s[name], 50) * 1e3


def judge_serving(found: Comparison) -> list[Verdict]:
    """Every promise about serving against one run."""
    where = f"{found.clients} clients"
    verdicts = []
    for peer, bound in SATURATION_FLOORS.items():
        ratio = found.ratio(peer)
        verdicts.append(
            Verdict(f"throughput, ours / {peer}", where, bound, ratio.median if ratio else None, spread=ratio)
        )
    overhead = found.overhead_ms(OURS.name) if OURS.name in found.alone_s else None
    verdicts.append(
        Verdict("ms a request over the bare predictor, median", "1 client", MOST_OVERHEAD_MS, overhead, at_most=True)
    )
    load = f"{STEADY_SHARE:.0%} of saturation"
    verdicts.append(Verdict("p99 / p50 of latency", load, MOST_TAIL, _tail(found.steady), at_most=True))
    return verdicts + _judge_overload(found.overload)


def _tail(steady: Mapping[str, Any]) -> float | None:
    latency = steady.get("latency_ms") or {}
    return latency["p99"] / latency["p50"] if latency.get("p50") else None


def _judge_overload(overload: Mapping[str, Any]) -> list[Verdict]:
    if not overload:
        return []
    where = f"{overload['times_saturation']:g} x saturation"
    refused = overload["latency_ms_by_outcome"].get("http 429", {}).get("p99")
    accepted = overload["latency_ms"].get("p99")
    answered = overload["outcomes"].get("ok", 0) + overload["outcomes"].get("http 429", 0)
    growth = overload["memory_after"] / overload["memory_before"]
    return [
        Verdict("ms of good answers at p99", where, overload["deadline_ms"], accepted, at_most=True),
        Verdict("ms until a 429 at p99", where, QUICK_REFUSAL_MS, refused, at_most=True),
        Verdict("share answered 200 or 429", where, 1.0, answered / max(1, overload["requests"])),
        Verdict("seconds until latency is normal again", "after it", 5.0, overload["recovery_s"], at_most=True),
        Verdict("memory after / before", where, 1.05, growth, at_most=True),
    ]


def render_serving(found: Comparison) -> str:
    """The whole page."""
    parts = [
        f"# The service and its peers, serving {found.bundle}",
        "All servers run at the same time and take turns under load, so a ratio is the median of the quotients within "
        "each round; brackets hold the quartiles. Client and servers share this machine's cores.",
        "## What is promised",
        verdict_table(judge_serving(found)),
        f"## {found.clients} clients",
        _saturation(found),
        "## One client alone",
        f"The bare predictor, in process: {number(summarise(found.predictor_s * 1e3).median)} ms at the median.",
        _alone(found),
        *_load("## A steady load", found.steady),
        *_load("## Far too much", found.overload),
        *(f"Not run: {name}: {reason}" for name, reason in found.missing.items()),
        "## Machine",
        machine_table(found.machine),
    ]
    return "\n\n".join(parts) + "\n"


def _saturation(found: Comparison) -> str:
    rows = []
    ours = median(one.cpu_ms for one in found.saturation[OURS.name]) if OURS.name in found.saturation else None
    for name, rounds in found.saturation.items():
        cpu_ms = median(one.cpu_ms for one in rounds)
        outcomes: Counter[str] = sum((Counter(one.content["outcomes"]) for one in rounds), Counter())
        rows.append([
            name, spread(found.throughput(name)), spread(found.ratio(name)),
            *(number(median(one.content["latency_ms"].get(p, 0.0) for one in rounds)) for p in ("p50", "p99")),
            number(cpu_ms), number(cpu_ms / ours if ours else None), number(rounds[-1].memory_mib),
            ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()),
        ])  # fmt: skip
    header = [
        "",
        "requests/s",
        "ours / this",
        "p50, ms",
        "p99, ms",
        "CPU ms a request",
        "times ours",
        "memory, MiB",
        "outcomes",
    ]
    return markdown_table(header, rows)


def _alone(found: Comparison) -> str:
    rows = [[name, number(found.alone_ms(name)), number(found.overhead_ms(name))] for name in found.alone_s]
    return markdown_table(["", "p50, ms", "over the bare predictor, ms"], rows)


def _load(title: str, content: Any) -> list[str]:
    if not content:
        return []
    said = f"{content['rate_per_s']:.0f} requests a second, arriving at random."
    return [title, said, outcome_table(content, ("p50", "p95", "p99", "max"))]


def serving_json(found: Comparison) -> dict[str, Any]:
    """The run for machines."""
    return {
        "benchmark": "serving",
        "machine": dict(found.machine),
        "bundle": found.bundle,
        "clients": found.clients,
        "promises": [verdict.as_dict() for verdict in judge_serving(found)],
        "saturation": {name: [asdict(one) for one in rounds] for name, rounds in found.saturation.items()},
        "alone_ms": {name: found.alone_ms(name) for name in found.alone_s},
        "overhead_ms": {name: found.overhead_ms(name) for name in found.alone_s},
        "predictor_ms": asdict(summarise(found.predictor_s * 1e3)),
        "steady": dict(found.steady),
        "overload": dict(found.overload),
        "missing": dict(found.missing),
    }
