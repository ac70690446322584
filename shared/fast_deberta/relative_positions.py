"""Which relative embedding belongs to which distance between two tokens."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor


def bucket_of_distance(distance: Tensor, buckets: int, max_distance: int) -> Tensor:
    """Signed bucket of each signed distance: exact up to half the buckets, logarithmic beyond.

    The arithmetic, float32 included, is the one of `make_log_bucket_position` in transformers' DeBERTa-v2, so that
    distances on the edge of two buckets fall on the same side. Source of the formula: He et al. 2021,
    https://arxiv.org/abs/2006.03654, and the DeBERTa repository.

    Args:
        distance: int64, any shape.
        buckets: `position_buckets` of the configuration.
        max_distance: `max_relative_positions`, the distance that falls into the last bucket.
    """
    middle = buckets // 2
    inside = (distance < middle) & (distance > -middle)
    size = torch.where(inside, middle - 1, distance.abs())
    span = torch.log(torch.tensor((max_distance - 1) / middle, device=distance.device))
    logarithmic = torch.ceil(torch.log(size / middle) / span * (middle - 1)) + middle
    return torch.where(size <= middle, distance, (logarithmic * distance.sign()).long())


@dataclass(frozen=True)
class RelativeRows:
    """Rows of the relative embeddings that a batch of length T needs.

    Attributes:
        start: first row used; rows `start:stop` are the distinct ones, by growing distance.
        stop: one past the last row used.
        ascending: int64, shape (2T,): for distance -(T-1)..T-1 its row within `start:stop`; the last entry pads.
        descending: int64, shape (2T,): the same for distance T-1..-(T-1).
    """

    start: int
    stop: int
    ascending: Tensor
    descending: Tensor


@functools.lru_cache(maxsize=2048)
@torch.inference_mode(False)  # or rows kept from a prediction could not be used in a training step
def relative_rows(length: int, span: int, buckets: int, max_distance: int, device: torch.device) -> RelativeRows:
    """Rows for every distance between tokens of a text of `length` T, among the `2 * span` of the table."""
    distance = torch.arange(1 - length, length, device=device)
    if buckets > 0 and max_distance > 0:
        distance = bucket_of_distance(distance, buckets, max_distance)
    rows = torch.clamp(distance + span, 0, 2 * span - 1)
    start, stop = int(rows[0]), int(rows[-1]) + 1
    rows = rows - start
    ascending = torch.cat([rows, rows[-1:]])
    descending = torch.cat([rows.flip(0), rows[:1]])
    return RelativeRows(start, stop, ascending, descending)


def first_token_rows(falling: Tensor | None, rising: Tensor | None, length: int) -> tuple[Tensor | None, Tensor | None]:
    """Of tables (2T, D) by falling and rising distance the rows between the first token and each, shape (T, D).

    The distance of token 0 from token j is -j.
    """
    return (
        None if falling is None else falling[length - 1 : 2 * length - 1],
        None if rising is None else rising[:length].flip(0),
    )


def score_scale(head_size: int, terms: int) -> float:
    """What the sum of the `terms` kinds of scores is multiplied with, 1 / sqrt(terms * d)."""
    return 1.0 / math.sqrt(terms * head_size)
