"""The notebook runs from top to bottom, in an interpreter of its own, on a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT
from tests.test_wheel import TINY

NOTEBOOK = ROOT / "docs" / "notebooks" / "first_steps.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
STEPS = ("Data", "Train", "Export", "Evaluate what is served", "Explain the errors", "Predict")


def code() -> list[str]:
    return ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_every_step_has_its_heading():
    prose = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    assert [line[3:] for line in prose.splitlines() if line.startswith("## ")] == list(STEPS)


@pytest.mark.slow
def test_the_notebook_runs(tiny_model, tmp_path):
    """Its last cells are compared with what the cells before them made."""
    checks = [
        "assert metrics.num_examples == len(test) and metrics.precision == 'fp32'",
        "assert 0 <= len(errors) <= len(test) and set(bundle.labels) == set(names)",
        "assert model.predict_proba(texts).shape == (3, len(names))",
        "print('all of it ran')",
    ]
    keys = {name: value for name, value in TINY.items() if name not in ("DATA__MAX_LENGTH", "OPTIM__EPOCHS")}
    keys["PREFLIGHT__SKIP"] = "[lengths]"  # the tiny vocabulary spells most words
    environment = {**os.environ, **{f"EMOTION_TRAIN_{name}": value for name, value in keys.items()},
                   "EMOTION_TRAIN_MODEL__NAME": str(tiny_model), "PYTHONPATH": str(ROOT)}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*code(), *checks])], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all of it ran\n")
