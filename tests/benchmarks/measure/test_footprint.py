from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contenders import stock_onnx
from benchmarks.contenders.model import TINY
from benchmarks.contenders.sources import random_subject
from benchmarks.measure.footprint import measure_footprint
from benchmarks.measure.progress import Progress


@pytest.mark.slow
def test_a_contender_is_weighed_in_a_process_of_its_own(tmp_path: Path) -> None:
    subject = random_subject(TINY, tmp_path)
    file = stock_onnx.fp32().prepare(subject.bench)
    found = measure_footprint(stock_onnx.FP32, file, threads=1, vocabulary=TINY.vocabulary, batch=2, length=16)
    assert found is not None
    assert found.load_s > 0
    # an interpreter with ONNX Runtime, and not the torch of this process
    assert 20 < found.idle_mib <= found.peak_mib < 400


def test_a_contender_that_ends_badly_has_no_footprint(tmp_path: Path) -> None:
    gone = tmp_path / "gone.onnx"
    assert measure_footprint(stock_onnx.FP32, gone, threads=1, vocabulary=9, batch=1, length=4) is None


def test_progress_is_drawn_for_people_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for shown, seen in ((False, ""), (True, "[1/2]")):
        progress = Progress(2, shown=shown)
        progress.step("something")
        progress.close()
        assert seen in capsys.readouterr().err
