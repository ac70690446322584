"""What a contender is: it prepares a file once, opens it, and turns a padded batch into logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
    made: Path  # where the files that contenders make of it are kept for the run
    bundle: Path | None = None  # the sealed bundle whose own exports stand for ours; None with random weights

    def prepared(self, name: str, make: Callable[[Path], object]) -> Path:
        """Folder `name` among the files made, filled by `make` the first time; a failure leaves nothing behind."""
        target = self.made / name
        if not target.is_dir():
            with replacing_folder(target) as folder:
                make(folder)
        return target


@dataclass(frozen=True)
class Contender:
    """One way to run the model."""

    name: str  # as in tables
    precision: str  # of its large products: fp32 or int8
    prepare: Callable[[Workbench], Path]  # makes or finds the file it loads; raises `UnavailableError` where it cannot
    open: Callable[[Path, int], Run]  # loads that file on so many threads
    library: str  # what it imports, told apart from loading when its start is timed
