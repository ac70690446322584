"""The benchmark of a card, rehearsed: every part of it runs, and what is missing or takes too long is said."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import ahead, inference, steps
from emotion_classifiers import cli
from shared.errors import ConfigError

REHEARSAL = ("--rehearse", "--minutes", "60", "--without", "ours, layers", "ours, graphs")


@pytest.mark.slow
def test_a_rehearsal_measures_every_part(tmp_path, capsys):
    assert cli.main(["bench", "gpu", *REHEARSAL, "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert set(found) > {"parity", "training", "many steps", "inference", "run"}
    assert all(value < 1e-5 for row in found["parity"]["gradients"].values() for value in row.values())
    assert len(found["training"]) == 5 * 3
    assert all(cell["ms"] > 0 for cell in found["training"].values())
    assert found["many steps"]["ours, graphs alone"]["not_finite"] == 0
    differences = [entry["difference"] for cell in list(found["inference"].values())[1:] for entry in cell.values()]
    assert len(differences) == 4 * 5 + 2 * 4  # of tiny batches all fit into the shapes that are replayed
    assert max(differences) < 5e-2
    assert all(entry["passed"] for entry in found["run"]["random weights"]["verified"].values())
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "A REHEARSAL" in page
    assert "| deberta-v3-base 16 x 256: ours |" in page
    assert not (tmp_path / "errors.txt").exists()
    capsys.readouterr()


def test_what_is_wanted_most_comes_first(tmp_path, monkeypatch, capsys):
    order, compiled = [], []
    monkeypatch.setattr(ahead, "compile_ahead", lambda cells, seconds: compiled.extend([*cells, round(seconds)]))
    monkeypatch.setattr(inference, "Inference", lambda *_: None)
    monkeypatch.setattr(gpu, "INFERENCE", ())
    for module, part in ((steps, "parity"), (steps, "many_steps"), (inference, "real_run")):
        monkeypatch.setattr(module, part, lambda *_, part=part: order.append(part))
    monkeypatch.setattr(steps, "measure_step", lambda _, name, *__: order.append(name) or {"ms": 1.0})
    options = gpu.options_of(["--rehearse", "--without", *steps.PEERS, "--output", str(tmp_path)])
    gpu.measure(gpu.Bench(options, tmp_path))
    assert compiled == [*(f"{shape.name} {rows} x {length}" for shape, rows, length in gpu.TRAINING), 54]  # of 360 s
    first = ["parity", *["HF eager", "ours, graphs"] * 5, "many_steps", "real_run"]
    assert order == [*first, *["ours, graphs alone", "ours, layers", "ours"] * 5]
    capsys.readouterr()


def test_cells_that_are_not_begun_in_time_are_not_compiled_ahead():
    assert ahead.compile_ahead({"a cell": (gpu.V3_LARGE, 16, 256)}, seconds=-1.0) == {"a cell": None}


def test_what_does_not_fit_is_skipped_and_what_fails_is_a_result(tmp_path, capsys):
    options = gpu.options_of(["--rehearse", "--minutes", "1", "--output", str(tmp_path)])
    bench = gpu.Bench(options, tmp_path)
    bench.take("training", "a peer", lambda: int("no"))
    bench.started -= 50
    bench.take("training", "too late", lambda: {"ms": 1.0})
    assert list(bench.results["training"]) == ["a peer"]
    assert bench.results["training"]["a peer"]["failed"].startswith("ValueError: invalid literal for int()")
    assert bench.results["skipped"] == ["training: too late (no time left)"]
    assert "Traceback" in (tmp_path / "errors.txt").read_text(encoding="utf-8")
    assert "no time left" in capsys.readouterr().out


def test_what_is_missing_is_said_at_once(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="torch finds no CUDA card here. Add --rehearse"):
        gpu.main(["--output", str(tmp_path)])
    monkeypatch.setattr(gpu, "NEEDED", ("torch", "nowhere_to_be_found"))
    with pytest.raises(ConfigError, match="these packages are missing: nowhere_to_be_found"):
        gpu.main(["--output", str(tmp_path)])
    with pytest.raises(ConfigError, match="invalid choice: 'cpu'"):
        cli.main(["bench", "cpu"])


def test_outside_of_a_checkout_it_says_so(monkeypatch):
    monkeypatch.delitem(sys.modules, "benchmarks.gpu")
    monkeypatch.setitem(sys.modules, "benchmarks", None)
    with pytest.raises(ConfigError, match="benchmarks are not part of the installed package"):
        cli.main(["bench", "gpu"])
