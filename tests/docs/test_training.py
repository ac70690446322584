"""The page about training names only keys and values that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from shared.labels import GOEMOTIONS
from shared.text import normalise
from training.config import Config
from training.config.parser import parse_options
from training.data.sources.sample import FOLDER

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


def test_the_embedded_corpus_is_counted_rightly():
    table = re.search(r"\| file \| what is in it \| families \| sentences \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE)[1]
    shown = {
        cells[0]: (int(cells[-2]), int(cells[-1].replace(",", "")))
        for cells in ([cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines())
    }
    counted = {}
    for path in FOLDER.glob("*.tsv"):
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        name = "`<label>.tsv`, 28 files" if path.stem in GOEMOTIONS else f"`{path.name}`"
        families, rows = counted.get(name, (0, 0))
        counted[name] = families + len({family for _, family, _ in lines}), rows + len(lines)
    assert shown == counted
    everything = [sum(values) for values in zip(*counted.values(), strict=True)]
    assert f"{everything[1]:,} sentences" in PAGE
    assert f"{everything[0]} phrase families" in PAGE.replace("\n", " ")


def test_the_emoji_of_the_page_are_read_as_it_says():
    sent, read = re.search(r'"([^"]*🎉[^"]*)" is read as "([^"]*)"', PAGE).groups()
    assert normalise(sent, "emoji_names") == read
