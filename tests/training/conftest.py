"""A tiny run from table to bundle, made once for the tests that look at what it left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.rows import write_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 120 texts with three labels."""
    return write_table(tmp_path / "table.jsonl")


@pytest.fixture
def arguments(tiny_model: Path, table: Path, tmp_path: Path) -> list[str]:
    """Arguments of a run of a few seconds that writes to `tmp_path/runs/default`."""
    return run_arguments(tiny_model, table, tmp_path / "runs")


@pytest.fixture
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile takes graphs, forward and backward, and calls no C++ compiler, which takes most of a test."""
    from torch._dynamo.backends.debugging import aot_eager

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", lambda graph, inputs, **_: aot_eager(graph, inputs))


@pytest.fixture(scope="session")
def finished(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished LoRA run with mean pooling; read-only for tests."""
    from training.run import main

    folder = tmp_path_factory.mktemp("finished")
    arguments = run_arguments(tiny_model, write_table(folder / "table.jsonl"), folder / "runs")
    main([*arguments, "--tuning.method", "lora", "--model.pooling", "mean", "--optim.epochs", "4"])
    return folder / "runs" / "default"


def run_arguments(tiny_model: Path, table: Path, runs: Path) -> list[str]:
    """Arguments of `training.run` on a table."""
    options = {
        "model.name": tiny_model, "data.source": "table", "data.path": table, "data.max_length": 16,
        "data.cache_dir": "none", "run.output_dir": runs, "run.threads": 1, "optim.epochs": 2, "optim.lr": 1e-2,
        "optim.head_lr": "null",
        "optim.batch_size": 24, "optim.precision": "fp32", "eval.bootstrap_samples": 50, "eval.fairness_sentences": 200,
    }  # fmt: skip
    return [f"--{key}={value}" for key, value in options.items()]
