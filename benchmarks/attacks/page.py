"""An attack and what came of it, as Markdown and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.attacks.campaign import Campaign
from benchmarks.reporting.page import machine_table
from benchmarks.reporting.table import markdown_table, number
from benchmarks.reporting.verdict import Verdict, verdict_table
from shared.files import replacing_file, write_json

MOST_GROWTH = 5.0
"""Memory that an attack may leave behind, in per cent."""

MOST_SHOWN = 20


def verdicts(found: Campaign) -> list[Verdict]:
    """What is promised of a service under attack."""
    log, where = found.log, f"{found.judge.sent:,} requests"
    invented, lines = f"{found.schema.sent:,} requests", f"{log.lines:,} lines"
    return [
        Verdict("hostile requests sent", "", found.plan.requests, found.judge.sent),
        Verdict("answers wrong or missing", where, 0, found.judge.wrong, at_most=True),
        Verdict("findings of schemathesis", invented, 0, len(found.schema.findings), at_most=True),
        Verdict("answers with 500", where, 0, _with_status(found, "500"), at_most=True),
        Verdict("server processes that ended", where, 0, found.ended, at_most=True),
        Verdict("memory gained, %", "after a warm-up", MOST_GROWTH, round(found.growth, 2), at_most=True),
        Verdict("log lines with an excerpt of a text", lines, 0, len(log.excerpts), at_most=True),
        Verdict("log lines with a traceback or an error", lines, 0,
                len({*log.tracebacks, *log.errors}), at_most=True),
    ]  # fmt: skip


def _with_status(found: Campaign, status: str) -> int:
    return sum(
        count for counts in found.judge.statuses.values() for seen, count in counts.items() if status in seen.split("+")
    )


def render_hostile(found: Campaign, command: str, machine: dict[str, Any]) -> str:
    """The whole page."""
    plan, memory = found.plan, found.memory_mib
    parts = [
        "# The service under attack",
        f"`{command}`",
        f"{found.judge.sent:,} requests of {plan.clients} clients in {found.seconds:,.0f} s, seed {plan.seed}. Every "
        "answer is held against the statuses that are right for its request; 429 and 504 are fair answers to anything. "
        "Errors must have the one form, every answer of the application a request id, and neither an answer nor the "
        "log may repeat a text. An innocent's probabilities must be what they were before the attack; the farthest was "
        f"{found.judge.farthest:.2g} off (allowed, as a text runs in a batch with others: {found.judge.tolerance:g}).",
        verdict_table(verdicts(found)),
        "## Answers",
        _answers(found),
        "A connection of several requests shows all its answers; `none` is a client that did not stay for one.",
        "## Memory",
        f"Of the process group, MiB: {', '.join(number(value, 4) for value in memory)}. The first reading comes after "
        f"a warm-up of {plan.warmup:,} requests of the same kinds, the last at rest.",
        *_list("## Wrong answers", found.judge.findings),
        *_list("## Findings of schemathesis", found.schema.findings),
        *_list("## Lines of the log", [*found.log.excerpts, *found.log.tracebacks, *found.log.errors]),
        "## Machine",
        machine_table(machine),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _answers(found: Campaign) -> str:
    rows = [
        [kind, f"{counts.total():,}", ", ".join(f"{seen}: {count:,}" for seen, count in counts.most_common())]
        for kind, counts in sorted(found.judge.statuses.items())
    ]
    return markdown_table(["kind", "connections", "answers"], rows)


def _list(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [title, "\n".join(f"* `{line[:200]}`" for line in list(dict.fromkeys(lines))[:MOST_SHOWN])]


def hostile_json(found: Campaign, machine: dict[str, Any]) -> dict[str, Any]:
    """The run for machines."""
    promises = verdicts(found)
    return {
        "benchmark": "hostile",
        "kept": all(verdict.met for verdict in promises),
        "promises": [verdict.as_dict() for verdict in promises],
        "plan": asdict(found.plan),
        "seconds": found.seconds,
        "memory_mib": found.memory_mib,
        "farthest": found.judge.farthest,
        "answers": {kind: dict(counts) for kind, counts in sorted(found.judge.statuses.items())},
        "findings": [*found.judge.findings, *found.schema.findings],
        "machine": machine,
    }


def write_hostile(found: Campaign, command: str, machine: dict[str, Any], folder: Path) -> None:
    """Write hostile.md and hostile.json into `folder`, which may hold other reports."""
    with replacing_file(folder / "hostile.md") as temporary:
        temporary.write_text(render_hostile(found, command, machine), encoding="utf-8")
    write_json(folder / "hostile.json", hostile_json(found, machine))
