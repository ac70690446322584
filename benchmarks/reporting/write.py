"""Write a run's folder: the page, the plot and the JSON, all of them or nothing."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reporting.line import as_json
from benchmarks.reporting.page import PLOT, render_report
from benchmarks.reporting.plot import write_plot
from benchmarks.reporting.results import Results
from shared.files import replacing_folder, write_json


def write_report(results: Results, target: Path) -> None:
    """Fill `target` with report.md, report.svg and report.json; an older folder of that name is replaced."""
    with replacing_folder(target) as folder:
        (folder / "report.md").write_text(render_report(results), encoding="utf-8")
        write_plot(results, folder / PLOT)
        write_json(folder / "report.json", as_json(results))
