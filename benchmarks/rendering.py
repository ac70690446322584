"""The one renderer: tables, numbers, promises and the machine in Markdown, a run's folder, and the command line."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Summary
from shared.cli import CommandParser
from shared.files import replacing_folder, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns after the first are aligned to the right."""
    lines = [list(header), ["---", *["---:"] * (len(header) - 1)], *map(list, rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def number(value: float | None) -> str:
    """A number to three significant digits, or a dash."""
    if value is None:
        return "-"
    if value != 0 and abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def spread(summary: Summary | None) -> str:
    """A median with its quartiles in brackets."""
    if summary is None:
        return "-"
    return f"{number(summary.median)} ({number(summary.low)}-{number(summary.high)})"


@dataclass(frozen=True)
class Verdict:
    """One promise after a run."""

    promise: str  # in words
    where: str  # the cell or cells it speaks of
    bound: float  # the number promised
    measured: float | None  # the number of this run, None where it was not measured
    spread: Summary | None = None  # quartiles around it, where it is a ratio of times
    at_most: bool = False  # whether the bound is an upper one

    @property
    def met(self) -> bool | None:
        """Whether it was kept; None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"met": self.met}


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """All promises in Markdown."""
    rows = []
    for verdict in verdicts:
        bound = f"{'at most' if verdict.at_most else 'at least'} {verdict.bound:g}"
        measured = spread(verdict.spread) if verdict.spread else number(verdict.measured)
        met = {True: "yes", False: "**no**", None: "not measured"}[verdict.met]
        rows.append([verdict.promise, verdict.where, bound, measured, met])
    return markdown_table(["promise", "where", "bound", "measured", "met"], rows)


def machine_table(machine: Mapping[str, Any]) -> str:
    """What was found out about the machine."""

    def shown(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {part}" for key, part in value.items())
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    return markdown_table(["", "value"], [[name.replace("_", " "), shown(value)] for name, value in machine.items()])


def outcome_table(content: Mapping[str, Any], names: Sequence[str]) -> str:
    """A row for each outcome of a load, from its digest."""
    rows = [
        [outcome, str(count), *(number(content["latency_ms_by_outcome"][outcome].get(name)) for name in names)]
        for outcome, count in content["outcomes"].items()
    ]
    return markdown_table(["outcome", "requests", *(f"{name}, ms" for name in names)], rows)


def publish(
    target: Path | None, name: str, content: Mapping[str, Any], page: str, figure: Callable[[], Figure] | None = None
) -> None:
    """Print the page, and the JSON as the last line; fill `target` with both and the picture, all or nothing.

    An older folder of that name is replaced.
    """
    print(page)
    if target is not None:
        with replacing_folder(target) as folder:
            (folder / f"{name}.md").write_text(page, encoding="utf-8")
            write_json(folder / f"{name}.json", content)
            if figure is not None:
                figure().savefig(folder / f"{name}.svg", format="svg")
        print(f"Written to {target}.")
    print(json.dumps(content))


def advance(bar: Any, doing: str) -> None:
    """Say on a progress bar what begins now."""
    bar.set_description(doing)
    bar.update()


def parser(module: str, description: str | None) -> CommandParser:
    """The command line of a benchmark, which ends its output with one line of JSON."""
    return CommandParser(
        module, description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The last line of stdout is one JSON object.",
    )  # fmt: skip


def add_values(command: CommandParser, *options: tuple[str, Callable[[str], Any], Any, str]) -> None:
    """Add options that take a value, each as name, type, default and help."""
    for name, kind, default, text in options:
        shown = "" if default is None else " (default %(default)s)"
        command.add_argument(name, type=kind, default=default, help=text + shown)


def positive_number(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
