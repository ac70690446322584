from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.contenders.models import TINY
from benchmarks.measure import Plan
from benchmarks.report import Scale, main, parse_arguments, quick_scale
from benchmarks.results import Cell
from shared.errors import ConfigError
from training.runtime import resources

SMOKE = Scale(
    cells=(Cell(1, 8), Cell(8, 32)),
    training_cells=(Cell(2, 8),),
    precisions=("bf16",),
    training_shape=TINY,
    left_out=("HF torch.compile",),
    plan=Plan(max_rounds=2, min_rounds=1, budget_s=0, warmup=0),
    training_plan=Plan(max_rounds=1, min_rounds=1, budget_s=0, warmup=0),
    with_base_files=False,
    with_footprints=False,
)


@pytest.mark.slow
def test_a_run_on_a_tiny_model_writes_a_report_and_one_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report"
    assert main(["--shape", "tiny", "--output", str(target)], scale=SMOKE) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line == json.loads((target / "report.json").read_text(encoding="utf-8"))
    stock = {"stock fp32", "stock int8"} if find_spec("optimum") else set()  # not beside transformers 5
    assert {"HF eager", "ours fp32", "ours int8"} | stock <= set(line["contenders"])
    for name, entry in line["contenders"].items():
        assert entry["difference"] < (1e-4 if entry["precision"] == "fp32" else 0.05), name
    assert set(line["cells"]) == {"1 x 8", "8 x 32"}
    assert set(line["training"]["bf16 2 x 8"]) == {"HF eager", "ours"}
    assert "not measured" in (target / "report.md").read_text(encoding="utf-8")


def test_a_processor_without_bf16_is_not_asked_to_emulate_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cpu_flags", lambda: frozenset({"avx2"}))
    assert Scale().precisions == quick_scale().precisions == ("fp32",)
    monkeypatch.setattr(resources, "cpu_flags", lambda: frozenset({"avx2", "amx_bf16"}))
    assert (Scale().precisions, quick_scale().precisions) == (("bf16", "fp32"), ("bf16",))


def test_help_teaches_and_wrong_threads_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    assert "in turns" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="'0' is not a whole number of 1 or more"):
        parse_arguments(["--threads", "0"])
