"""The run as one JSON object: medians, ratios and verdicts, for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.reporting.floors import judge
from benchmarks.reporting.results import Cell, Results
from benchmarks.reporting.work import limit_seconds


def as_json(results: Results) -> dict[str, Any]:
    """Everything but the single rounds; cells are keyed as "8 x 32"."""
    return {
        "benchmark": "report",
        "model": asdict(results.shape) | {"title": results.title},
        "threads": results.threads,
        "clock": results.clock,
        "machine": dict(results.machine),
        "limits": results.limits.as_dict(),
        "promises": [verdict.as_dict() for verdict in judge(results)],
        "contenders": {name: asdict(entry) for name, entry in results.entries.items()},
        "missing": dict(results.missing),
        "cells": {str(cell): _cell(results, cell) for cell in results.cells},
        "training": {
            str(step): {name: _summary(results.step_summary(step, name)) for name in taken}
            for step, taken in results.steps.items()
        },
        "base_files": dict(results.base_files),
    }


def _cell(results: Results, cell: Cell) -> dict[str, Any]:
    found = {}
    for name in results.cells[cell]:
        summary = results.summary(cell, name)
        limit = limit_seconds(results.shape, cell.batch, cell.length, results.entries[name].precision, results.limits)
        found[name] = _summary(summary) | {"limit_s": limit}
    return found


def _summary(summary: Any) -> dict[str, Any]:
    return {f"{name}_s" if name != "count" else name: value for name, value in summary.as_dict().items()}
