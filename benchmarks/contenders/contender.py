"""What a contender is: it prepares a file once, opens it, and turns a padded batch into logits."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.files import replacing_folder

Batch = Mapping[str, NDArray[np.int64]]
"""`input_ids` and `attention_mask`, both of shape (N, T)."""

Run = Callable[[Batch], NDArray[np.float32]]
"""From a batch to logits (N, L)."""


class UnavailableError(Exception):
    """A contender that cannot run here; its message says why, also in the report."""


@dataclass(frozen=True)
class Workbench:
    """What all contenders start from."""

    checkpoint: Path  # folder of the model in Hugging Face's layout
    cache: Path  # where prepared files of this model are kept between runs
    bundle: Path | None = None  # the sealed bundle whose own exports stand for ours; None with random weights

    def prepared(self, name: str, key: str, make: Callable[[Path], object]) -> Path:
        """Folder `name` in the cache, filled by `make` the first time; a failure leaves nothing behind.

        What was made under another key is thrown away: it came from other versions or older code.
        """
        target = self.cache / f"{name}-{key}"
        if not target.is_dir():
            with replacing_folder(target) as folder:
                make(folder)
            for other in set(self.cache.glob(f"{name}-{'?' * len(key)}")) - {target}:
                shutil.rmtree(other, ignore_errors=True)
        return target


@dataclass(frozen=True)
class Contender:
    """One way to run the model."""

    name: str  # as in tables
    precision: str  # of its large products: fp32, int8 or fp16
    prepare: Callable[[Workbench], Path]  # makes or finds the file it loads; raises `UnavailableError` where it cannot
    open: Callable[[Path, int], Run]  # loads that file on so many threads
    library: str  # what it imports, told apart from loading when its start is timed


def versions_key(*packages: str) -> str:
    """Short hash of the installed versions of some packages, for the names of cached files they made."""
    return _short_hash(f"{package}=={_version(package)}" for package in packages)


def sources_key(*folders: Path) -> str:
    """Short hash of all Python files in some folders: what our own code made is made anew when the code changes."""
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return _short_hash(file.read_text(encoding="utf-8") for file in files)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _short_hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:12]


def as_feed(batch: Batch) -> dict[str, Any]:
    """The batch as ONNX Runtime and OpenVINO take it."""
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
