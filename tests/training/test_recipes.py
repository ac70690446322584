"""The recipes: each is a valid configuration whose header tells what to run, on what, and what was measured."""

from pathlib import Path

import pytest
import yaml

from shared.modeling.starters import is_starter
from training.config import Config
from training.config.experiments import DistillOptions
from training.config.parser import parse_options
from training.experiments.distill import teacher_config

FOLDER = Path(__file__).parents[2] / "configs"
RECIPES = sorted(path for path in FOLDER.glob("*.yaml") if "model" in (yaml.safe_load(path.read_text()) or {}))


def kind_of(path):
    """The options that a recipe is for, and how its command begins."""
    if "teachers" in yaml.safe_load(path.read_text()):
        return DistillOptions, "emotion distill"
    return Config, "python -m training.run"


def read(path):
    return parse_options(kind_of(path)[0], ["--config", str(path)], prog="train", description="Train.")[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_valid_configuration_with_a_full_header(path):
    read(path)
    header = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert f"{kind_of(path)[1]} --config configs/{path.name}" in header
    assert "# Needs: " in header
    assert "\n# Measured: " in header or "\n# Not measured: " in header


def test_the_large_recipe_has_the_effective_batch_and_rates_it_promises():
    config = read(FOLDER / "goemotions_deberta_v3_large_fp16.yaml")
    optim = config.optim
    assert optim.batch_size * optim.accumulation == 16
    assert (optim.lr, optim.schedule, optim.warmup_ratio, optim.weight_decay) == (3e-5, "cosine", 0.15, 0.01)
    assert (optim.precision, config.data.max_length) == ("fp16", 256)


def test_the_lora_recipe_has_the_rank_and_rate_it_promises():
    config = read(FOLDER / "goemotions_deberta_v3_base_lora.yaml")
    assert (config.tuning.method, config.tuning.rank, config.optim.lr) == ("lora", 32, 1e-4)
    assert config.optim.batch_size * config.optim.accumulation == 16


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_recipe_leans_on_a_default_that_suits_a_starter_alone(path):
    config, written = read(path), yaml.safe_load(path.read_text())
    assert {"epochs", "lr", "head_lr", "batch_size"} <= written["optim"].keys()
    assert "head_activation" in written["model"]
    if not is_starter(config.model.name):
        assert (config.model.head_activation, config.optim.head_lr) == (None, None)


def test_the_teachers_of_the_student_have_a_recipe_of_the_project():
    student = read(FOLDER / "goemotions_student.yaml")
    assert teacher_config(student).model.name == "starter-base"
    assert teacher_config(student).data == student.data
