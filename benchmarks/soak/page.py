"""A soak and what came of it, as Markdown and as JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.reporting.page import machine_table
from benchmarks.reporting.table import markdown_table, number
from benchmarks.reporting.verdict import Verdict, verdict_table
from benchmarks.soak.caller import NOT_READY
from benchmarks.soak.handover import Handover
from benchmarks.soak.swap import Swaps
from benchmarks.soak.tally import Tally
from shared.files import replacing_file, write_json

MOST_SHOWN = 20


def verdicts(least: int, handover: Handover, swaps: Swaps) -> list[Verdict]:
    """What is promised of a service in the hands of its operator."""
    terms, links = f"{len(handover.codes)} x SIGTERM", f"{swaps.taken} swaps"
    watched = f"{swaps.scrapes} under load"
    foreign = sum(count for seal, count in swaps.tally.seals.items() if seal not in swaps.seals)
    apart = sum((swaps.counted - swaps.tally.statuses).values()) + sum((swaps.tally.statuses - swaps.counted).values())
    return [
        Verdict("requests", terms, least, handover.tally.done),
        Verdict("requests lost", terms, 0, len(handover.tally.lost), at_most=True),
        Verdict("answers other than 200, or 503 to ask the next", terms, 0, _wrong(handover.tally), at_most=True),
        Verdict("servers that ended with another code than 0", terms, 0, sum(map(bool, handover.codes)), at_most=True),
        Verdict("servers that did not end by themselves", terms, 0, len(handover.stuck), at_most=True),
        Verdict("requests", links, least, swaps.tally.done),
        Verdict("requests lost", links, 0, len(swaps.tally.lost), at_most=True),
        Verdict("answers other than the right one", links, 0, swaps.tally.unexpected.total(), at_most=True),
        Verdict("answers of neither bundle", links, 0, foreign, at_most=True),
        Verdict("bundles that answered", links, 2, len(swaps.tally.seals)),
        Verdict("tampered bundles refused", links, 1, int(swaps.refused)),
        Verdict("scrapes of `/metrics` that cannot be true", watched, 0, len(swaps.off), at_most=True),
        Verdict("answers `/metrics` counts otherwise than the clients", "at the end", 0, apart, at_most=True),
    ]  # fmt: skip


def _wrong(tally: Tally) -> int:
    return sum(count for status, count in tally.unexpected.items() if status != NOT_READY)


def render_lifecycle(least: int, handover: Handover, swaps: Swaps, command: str, machine: dict[str, Any]) -> str:
    """The whole page."""
    took = ", ".join(number(seconds) for seconds in handover.seconds)
    parts = [
        "# The service in the hands of its operator",
        f"`{command}`",
        "A request is lost when its bytes went out on an open connection and no whole HTTP answer came back. Where "
        "nobody listens, or where the server had closed an idle connection before the first byte, nothing was taken "
        "on: the client asks the next server, as it does after a 503. Every second client is slow, so that connections "
        "are idle when the server ends.",
        verdict_table(verdicts(least, handover, swaps)),
        "## SIGTERM",
        "Under load a fresh server starts on the other of two ports, then the old one gets SIGTERM. To end, including "
        f"the time they go on accepting, they took {took} s.",
        _outcomes(handover.tally),
        "## Another bundle",
        "Under load the link that the server follows is moved between two bundles, and last to a copy whose thresholds "
        "were changed. Every tenth request is wrong, and must be answered so. `/metrics` is read all the time: it may "
        "not say less than had been answered before, nor more than was sent after.",
        _outcomes(swaps.tally),
        "Answers by bundle: " + ", ".join(f"{seal[:12]}: {count:,}" for seal, count in swaps.tally.seals.items()) + ".",
        _agreement(swaps),
        *_list("## Lost", [*handover.tally.lost, *swaps.tally.lost]),
        *(f"## A server that was stuck\n\n```\n{log}\n```" for log in handover.stuck),
        *_list("## Scrapes that cannot be true", swaps.off),
        "## Machine",
        machine_table(machine),
    ]
    return "\n\n".join(parts) + "\n"


def _outcomes(tally: Tally) -> str:
    rows = [[f"answered {status}", f"{count:,}"] for status, count in sorted(tally.statuses.items())]
    rows += [
        ["lost", f"{len(tally.lost):,}"],
        ["connections refused, request sent elsewhere", f"{tally.refused:,}"],
        ["idle connections the server had closed", f"{tally.closed:,}"],
    ]
    return markdown_table(["", "count"], rows)


def _agreement(swaps: Swaps) -> str:
    statuses = sorted({*swaps.counted, *swaps.tally.statuses})
    rows = [[str(status), f"{swaps.tally.statuses[status]:,}", f"{swaps.counted[status]:,}"] for status in statuses]
    return markdown_table(["status", "clients", "`/metrics`"], rows)


def _list(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [title, "\n".join(f"* {line}: {count:,}" for line, count in Counter(lines).most_common(MOST_SHOWN))]


def lifecycle_json(least: int, handover: Handover, swaps: Swaps, machine: dict[str, Any]) -> dict[str, Any]:
    """The run for machines."""
    promises = verdicts(least, handover, swaps)
    return {
        "benchmark": "lifecycle",
        "kept": all(verdict.met for verdict in promises),
        "promises": [verdict.as_dict() for verdict in promises],
        "handover": {**_tally_json(handover.tally), "codes": handover.codes, "seconds": handover.seconds},
        "swaps": {**_tally_json(swaps.tally), "counted": _keyed(swaps.counted), "scrapes": swaps.scrapes},
        "machine": machine,
    }


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {
        "sent": tally.sent,
        "statuses": _keyed(tally.statuses),
        "seals": dict(tally.seals),
        "lost": dict(Counter(tally.lost)),
        "refused": tally.refused,
        "closed": tally.closed,
    }


def _keyed(counts: Counter[int]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(counts.items())}


def write_lifecycle(page: str, content: dict[str, Any], folder: Path) -> None:
    """Write lifecycle.md and lifecycle.json into `folder`, which may hold other reports."""
    with replacing_file(folder / "lifecycle.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
    write_json(folder / "lifecycle.json", content)
