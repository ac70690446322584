from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from benchmarks.load import header
from benchmarks.rendering import markdown_table, number, positive_number, publish
from benchmarks.report_page import as_json, render_report, report_figure
from benchmarks.results import Cell, Entry, Footprint, Results, Step, judge


def results(ours_int8: float = 0.25, with_training: bool = True) -> Results:
    def cell(scale: float) -> dict[str, np.ndarray]:
        seconds = {"HF eager": 3.0, "stock fp32": 1.0, "ours fp32": 0.5, "stock int8": 0.5, "ours int8": ours_int8}
        return {name: np.array([1.0, 1.1, 0.9]) * scale * value for name, value in seconds.items()}

    names = {"HF eager": "fp32", "stock fp32": "fp32", "ours fp32": "fp32", "stock int8": "int8", "ours int8": "int8"}
    steps = {Step("bf16", Cell(32, 24)): {"HF eager": np.array([4.0, 4.0]), "ours": np.array([1.0, 1.0])}}
    return Results(
        title="a model by hand", threads=1, clock="wall clock",
        machine={"cpu": "a CPU", "versions": {"numpy": "2"}},
        entries={name: Entry(kind, 2**20, 1e-6, Footprint(1.0, 2.0, 3.0, 4.0)) for name, kind in names.items()},
        missing={"HF torch.compile": "there is no compiler"},
        cells={Cell(1, 16): cell(0.1), Cell(8, 32): cell(1.0), Cell(32, 32): cell(4.0)},
        training_title="a network", steps=steps if with_training else {}, base_files={"fp32": 100, "int8": 25},
    )  # fmt: skip


def test_promises_are_judged_by_the_ratios_of_this_run() -> None:
    verdicts = {(verdict.promise.split(",")[0], verdict.where): verdict for verdict in judge(results())}
    step = verdicts[("training step", "bf16 32 x 24")]
    assert (step.measured, step.met) == (4.0, True)
    assert verdicts[("training step", "bf16 16 x 128")].met is None
    assert verdicts[("export fp32", "32 x 32")].measured == pytest.approx(2.0)
    assert verdicts[("int8 file / fp32 file", "file size")].met is True


def test_a_promise_that_is_not_kept_is_said_to_be_broken() -> None:
    slow = results(ours_int8=0.6)
    broken = [verdict for verdict in judge(slow) if verdict.met is False]
    # against stock int8, twice against stock fp32, and slower than stock somewhere
    assert len(broken) == 4
    assert "**no**" in render_report(slow)
    assert "**no**" not in render_report(results())


def test_the_page_has_a_row_for_everyone_and_says_who_is_missing() -> None:
    page = render_report(results())
    assert "| ours int8 | 25.0 | 250 | 1,000 |" in page
    assert "* HF torch.compile: there is no compiler" in page
    assert "| bf16 32 x 24 | 8.00 | 32.0 | 4.00 (4.00-4.00) |" in page
    assert "Not measured." in render_report(results(with_training=False))


def test_tables_in_markdown_have_as_many_cells_in_every_line() -> None:
    table = markdown_table(["", "a"], [["x|y", "1"], ["z", "2"]])
    assert table.splitlines() == ["|  | a |", "| --- | ---: |", "| x/y | 1 |", "| z | 2 |"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.0, "0.00"), (1.0, "1.00"), (12.345, "12.3"), (1234.5, "1,234"), (0.00123, "0.00123")],
)
def test_numbers_keep_three_significant_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_a_published_run_has_its_page_its_plot_and_json(tmp_path: Path) -> None:
    found = results()
    publish(tmp_path / "run", "report", as_json(found), render_report(found), lambda: report_figure(found))
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"report.md", "report.svg", "report.json"}
    ET.parse(tmp_path / "run" / "report.svg")
    content = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert content["cells"]["8 x 32"]["ours int8"]["median_s"] == 0.25
    assert content["training"]["bf16 32 x 24"]["ours"]["median_s"] == 1.0
    assert [promise["met"] for promise in content["promises"]].count(None) == 1


def test_values_of_the_command_line_are_checked() -> None:
    assert (positive_number("0.5"), header("a: b")) == (0.5, ("a", "b"))
    for check, bad, message in (
        (positive_number, "nan", "not a number above 0"),
        (positive_number, "x", "not a number above 0"), (header, "nothing", "is not a header like"),
    ):  # fmt: skip
        with pytest.raises(argparse.ArgumentTypeError, match=message):
            check(bad)
