"""The recipes in `configs/`, by name: in the root of a checkout, or in a wheel, which carries them here."""

from __future__ import annotations

from pathlib import Path

from shared.environment import ROOT

PACKAGED = Path(__file__).with_name("configs")
"""Where a wheel has them (`setup.py` copies them there)."""


def recipe_names() -> list[str]:
    """Names of the recipes, which `--config` takes in place of a path."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """The file of a recipe given by path, or by its name where there is no such file."""
    path = Path(name)
    return _folder() / f"{name}.yaml" if not path.is_file() and name in recipe_names() else path


def _folder() -> Path:
    return PACKAGED if PACKAGED.is_dir() else ROOT / "configs"
