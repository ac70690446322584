"""Rows of tokens become one padded batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from shared.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Collator:
    """Pads a batch to its own longest row.

    Args:
        tokenizer: pads as in serving.
        pad_to_multiple: round the length T up to a multiple of this (8 suits tensor cores); none when left out.
    """

    tokenizer: TextTokenizer
    pad_to_multiple: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask` (int64, (N, T)), `labels` (float32) and `known` (bool), both (N, L).

        Rows that have a teacher's logits give `teacher` too (float32, (N, L)).
        """
        ids = [np.asarray(row["input_ids"], dtype=np.int32) for row in rows]
        padded = self.tokenizer.pad(ids, self._width(max(len(row) for row in ids)))
        batch = {name: torch.from_numpy(array) for name, array in padded.items()}
        batch["labels"] = torch.from_numpy(np.array([row["labels"] for row in rows], dtype=np.float32))
        batch["known"] = torch.from_numpy(np.array([row["known"] for row in rows], dtype=np.bool_))
        if "teacher" in rows[0]:
            batch["teacher"] = torch.from_numpy(np.array([row["teacher"] for row in rows], dtype=np.float32))
        return batch

    def _width(self, longest: int) -> int:
        multiple = self.pad_to_multiple or 1
        return -(-longest // multiple) * multiple
