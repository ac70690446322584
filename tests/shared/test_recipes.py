"""Recipes are found by name as by path, and `--config` takes both."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import recipes
from shared.environment import ROOT
from shared.errors import ConfigError
from training.config import Config
from training.config.parser import parse_options


def test_every_recipe_has_a_name():
    assert recipes.recipe_names() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert "goemotions_starter" in recipes.recipe_names()


def test_a_file_is_taken_before_a_recipe_of_its_name_and_a_folder_is_not(tmp_path, monkeypatch):
    assert recipes.recipe_path("default") == ROOT / "configs" / "default.yaml"
    assert recipes.recipe_path("nothing") == Path("nothing")
    monkeypatch.chdir(tmp_path)
    Path("journal").mkdir()
    assert recipes.recipe_path("journal") == ROOT / "configs" / "journal.yaml"
    Path("default").write_text("")
    assert recipes.recipe_path("default") == Path("default")


def test_a_wheel_carries_its_own(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("")
    monkeypatch.setattr(recipes, "PACKAGED", tmp_path)
    assert recipes.recipe_path("mine") == tmp_path / "mine.yaml"


@pytest.mark.parametrize("arguments", [["--config", "goemotions_starter"], ["--config=goemotions_starter"]])
def test_config_takes_a_name(arguments):
    by_path = [argument.replace("goemotions_starter", "configs/goemotions_starter.yaml") for argument in arguments]
    found, expected = (parse_options(Config, given, prog="test", description="")[0] for given in (arguments, by_path))
    assert found == expected
    assert found.run.name == "goemotions_starter"


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(ConfigError, match=r"no configuration file at .*/defaults\. Give a YAML file, or .* default, "):
        parse_options(Config, ["--config", "defaults"], prog="test", description="")
