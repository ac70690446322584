"""The recipes: each is a valid configuration whose header tells what to run, on what, and what was measured."""

from pathlib import Path

import pytest
import yaml

from training.config import Config
from training.options import parse_options

FOLDER = Path(__file__).parents[2] / "configs"
RECIPES = sorted(path for path in FOLDER.glob("*.yaml") if "model" in (yaml.safe_load(path.read_text()) or {}))


def read(path):
    return parse_options(Config, ["--config", str(path)], prog="train", description="Train.")[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_valid_configuration_with_a_full_header(path):
    read(path)
    header = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert all(f"\n# {word} " in header for word in ("command", "hardware", "minutes", "macro F1"))
    assert f"--config configs/{path.name}" in header


def test_the_large_recipe_has_the_effective_batch_and_rates_it_promises():
    config = read(FOLDER / "goemotions_deberta_v3_large_fp16.yaml")
    optim = config.optim
    assert optim.batch_size * optim.accumulation == 16
    assert (optim.lr, optim.schedule, optim.warmup_ratio, optim.weight_decay) == (3e-5, "cosine", 0.15, 0.01)
    assert (optim.precision, config.data.max_length, config.tuning.rank) == ("fp16", 256, 32)


def test_the_default_recipe_is_what_runs_without_one():
    config, default = read(FOLDER / "default.yaml"), Config()
    assert config.optim == default.optim
    assert config.data == default.data
    assert config.tuning == default.tuning
