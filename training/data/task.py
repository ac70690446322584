"""Whether the labels of a corpus are those of the task."""

from __future__ import annotations

from shared.errors import DataFormatError
from training.data.corpus import Splits


def check_task(splits: Splits, task: str) -> None:
    """Refuse to learn one label a text from texts with several, or none.

    Raises:
        DataFormatError: when `task` is single_label and a row does not have exactly one label among its known ones.
    """
    if task != "single_label":
        return
    for name, split in (("train", splits.train), ("dev", splits.dev), ("test", splits.test)):
        if split is None:
            continue
        counts = split.targets.sum(axis=1, where=split.known)
        wrong = abs(counts - 1.0) > 1e-3
        if wrong.any():
            row = int(wrong.argmax())
            raise DataFormatError(
                f"loss.name is 'cross_entropy', for texts with exactly one label; {int(wrong.sum()):,} of "
                f"{len(split):,} rows of {name} have another number, the first {counts[row]:g} (row {split.ids[row]}).",
                hint="Use another loss, such as --loss.name bce.",
            )
