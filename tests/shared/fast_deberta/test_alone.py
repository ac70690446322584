"""The package stands alone: its folder, copied elsewhere under another name, is imported and runs there."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shared.fast_deberta as package

FOLDER = Path(package.__file__).parent
ALLOWED = {"torch", "transformers", *sys.stdlib_module_names}

SCRIPT = """
import sys
import borrowed
assert "torch" not in sys.modules, "importing the package alone loads torch"
from borrowed import use_fast_attention, use_stock_attention
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

torch.manual_seed(0)
config = DebertaV2Config(
    vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=3,
    relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm",
    share_att_key=True, type_vocab_size=0, position_biased_input=False, initializer_range=0.2, pooler_hidden_size=32,
)
model = DebertaV2ForSequenceClassification(config).eval()
inputs = {"input_ids": torch.randint(50, (3, 13)), "attention_mask": torch.ones(3, 13, dtype=torch.long)}
inputs["attention_mask"][1, 9:] = 0
with torch.no_grad():
    stock = model(**inputs).logits
    assert use_fast_attention(model) == 2
    fast = model(**inputs).logits
    assert use_stock_attention(model) == 2
    again = model(**inputs).logits
assert type(model) is DebertaV2ForSequenceClassification
assert torch.equal(stock, again)
print(float((stock - fast).abs().max()), float(stock.std()))
print(sorted(name for name in sys.modules if name.split(".")[0] in ("shared", "training", "serving")))
"""


def test_the_folder_runs_elsewhere_under_another_name(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "borrowed", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    numbers, ours = done.stdout.splitlines()[-2:]
    difference, spread = map(float, numbers.split())
    assert difference < 1e-5 < 0.01 < spread
    assert ours == "[]"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.name)
def test_no_file_imports_more_than_torch_and_transformers(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= ALLOWED
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1 or str(node.module).split(".")[0] in ALLOWED, node.module


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"module 'shared\.fast_deberta' has no attribute 'use_slow_attention'"):
        package.use_slow_attention  # noqa: B018
