"""Encoders that come in Python packages, so that no model hub is needed: their names, and the folder of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from shared.modeling.starters.minilm import ORIGIN as MINILM
from shared.modeling.starters.minilm import starter_checkpoint
from shared.modeling.starters.mpnet import ORIGIN as MPNET
from shared.modeling.starters.mpnet import starter_base_checkpoint

STARTER = "starter"
STARTER_BASE = "starter-base"

_FOLDERS: Mapping[str, Callable[[], Path]] = {STARTER: starter_checkpoint, STARTER_BASE: starter_base_checkpoint}
ORIGINS: Mapping[str, str] = {STARTER: MINILM, STARTER_BASE: MPNET}
"""Name of a starter -> that of its weights on the hub. Both are sentence encoders, pretrained with mean pooling."""


def is_starter(name: str | Path) -> bool:
    """Whether this names an encoder out of a package; folders and names on the hub are none."""
    return str(name) in _FOLDERS


def starter_folder(name: str | Path) -> Path:
    """Folder of the starter of this name, made on the first call.

    Raises:
        ModelNotFoundError: when the packages that carry its weights are not installed.
        ModelError: when its files are not the expected ones.
    """
    return _FOLDERS[str(name)]()
