from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders import graphs
from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError, Workbench
from benchmarks.contenders.models import TINY, Subject, random_subject
from benchmarks.measure import Plan, in_fresh_process
from benchmarks.race import Field, footprint
from benchmarks.results import Cell
from tests.helpers import optimum_or_skip

LABELS = 3


def contender(name: str, offset: float = 0.0, fails: Exception | None = None) -> Contender:
    def prepare(bench: Workbench) -> Path:
        if fails is not None:
            raise fails
        file = bench.made / f"{name}.onnx"
        file.write_bytes(b"12345")
        return file

    def open_it(file: Path, threads: int) -> Run:
        def run(batch: Batch) -> np.ndarray:
            return np.full((len(batch["input_ids"]), LABELS), offset, dtype=np.float32)

        return run

    return Contender(name, "fp32", prepare, open_it, "json")


@pytest.fixture
def field(tmp_path: Path) -> Field:
    return Field(
        Subject(Workbench(tmp_path, tmp_path), TINY.vocabulary, "tiny"),
        threads=1,
        reference=np.ones((3, LABELS), dtype=np.float32),
    )


def test_those_who_can_run_are_entered_with_size_and_difference_from_the_reference(field: Field) -> None:
    field.enter(contender("first", offset=1.0))
    field.enter(contender("second", offset=1.25))
    assert [entry.difference for entry in field.entries.values()] == [0.0, 0.25]
    assert field.entries["first"].file_bytes == 5
    taken = field.race(Cell(2, 4), Plan(max_rounds=3, min_rounds=3, budget_s=0, warmup=0), time.perf_counter)
    assert {name: len(seconds) for name, seconds in taken.items()} == {"first": 3, "second": 3}


def test_those_who_cannot_are_named_with_the_reason_and_end_nothing(field: Field) -> None:
    field.enter(contender("absent", fails=UnavailableError("not installed")))
    field.enter(contender("broken", fails=RuntimeError("segment\nviolated")))
    field.enter(contender("well"))
    assert field.missing == {"absent": "not installed", "broken": "failed: RuntimeError: segment violated"}
    assert list(field.entries) == ["well"]


@pytest.mark.slow
def test_a_contender_is_weighed_in_a_process_of_its_own(tmp_path: Path) -> None:
    optimum_or_skip()
    file = graphs.export_stock(random_subject(TINY, tmp_path).bench)
    found = in_fresh_process(footprint, graphs.STOCK_FP32, file, 1, TINY.vocabulary)
    assert found.load_s > 0
    # an interpreter with ONNX Runtime, and not the torch of this process
    assert 20 < found.small_mib < found.large_mib + 20 < 400


def test_a_contender_that_ends_badly_has_no_footprint(field: Field) -> None:
    field.enter(contender("unknown"))
    field.weigh("unknown")
    assert field.entries["unknown"].footprint is None
