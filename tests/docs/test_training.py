"""The page about training names only keys and values that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from training.config import Config
from training.config.parser import parse_options

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
KEYS = sorted(set(re.findall(r"`((?:loss|optim|tuning|model|augment|eval|watch)\.\w+)`", PAGE)))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_exists(key):
    section, name = key.split(".")
    assert name in Config().to_dict()[section]


def test_many_keys_are_explained():
    assert len(KEYS) > 30


def test_the_example_is_a_configuration(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "example.yaml"
    path.write_text(example, encoding="utf-8")
    config, _ = parse_options(Config, ["--config", str(path)], prog="test", description="")
    for section, values in yaml.safe_load(example).items():
        assert {key: config.to_dict()[section][key] for key in values} == values


@pytest.mark.parametrize("name", ["bce", "weighted_bce", "focal", "asymmetric", "combined", "cross_entropy"])
def test_every_loss_is_explained(name):
    parse_options(Config, ["--loss.name", name], prog="test", description="")
    assert f"`{name}`" in PAGE
