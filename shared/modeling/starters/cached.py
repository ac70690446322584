"""A checkpoint made once from installed packages: checked by digest, in the cache whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from shared.environment import cache_root
from shared.errors import ModelError
from shared.files import sha256_file

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What a checkpoint's folder holds."""


def cached_checkpoint(name: str, make: Callable[[Path], None], cache_dir: Path | None = None) -> Path:
    """The folder `name` in the cache, found again when it is complete, else filled by `make`.

    Args:
        name: of the folder; a new one when the files change.
        make: writes `FILES` into the folder it is given.
        cache_dir: where to keep it; `$EMOTION_CACHE`, else `~/.cache/emotion-classifiers`, when None.
    """
    root = cache_root() if cache_dir is None else Path(cache_dir)
    target = root / name
    if is_complete(target):
        return target
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=root))
    try:
        make(work)
        move_into_place(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def check_digests(folder: Path, expected: Mapping[str, str], install: str) -> None:
    """Compare files with their sha256.

    Args:
        folder: that holds them.
        expected: file name -> sha256.
        install: the command that installs them again.

    Raises:
        ModelError: when one is missing or another; it is named.
    """
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path} is missing.", hint=f"Install it again with `{install}`.")
        found = sha256_file(path)
        if found != digest:
            raise ModelError(
                f"{path} has sha256 {found}, expected {digest}.", hint=f"Install it again with `{install}`."
            )


def is_complete(folder: Path) -> bool:
    """Whether every file of a checkpoint is there."""
    return all((folder / name).is_file() for name in FILES)


def move_into_place(work: Path, target: Path) -> None:
    """Rename `work` to `target`; a complete one that another process made meanwhile is left as it is."""
    work.chmod(0o755)  # mkdtemp makes it private
    if target.exists() and not is_complete(target):
        shutil.rmtree(target)
    try:
        work.rename(target)
    except OSError:
        if not is_complete(target):  # otherwise another process was first, with the same files
            raise
