"""Rows of the relative embeddings are those that transformers looks up."""

from __future__ import annotations

import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from shared.fast_deberta.relative_positions import bucket_of_distance, first_token_rows, relative_rows, score_scale

CPU = torch.device("cpu")


@pytest.mark.parametrize(("buckets", "maximum"), [(256, 512), (32, 512), (8, 40), (256, 1024), (16, 17)])
def test_buckets_are_those_of_transformers_at_every_distance(buckets: int, maximum: int) -> None:
    length = 700
    matrix = build_relative_position(torch.zeros(1, length, 1), torch.zeros(1, length, 1), buckets, maximum)[0]
    distance = torch.arange(length).unsqueeze(1) - torch.arange(length)
    assert torch.equal(bucket_of_distance(distance, buckets, maximum), matrix)


def test_near_distances_have_a_bucket_each_and_far_ones_share() -> None:
    distance = torch.tensor([0, 1, -1, 127, 128, 129, 509, 511, -511, -128])
    buckets = bucket_of_distance(distance, 256, 512)
    assert buckets.tolist() == [0, 1, -1, 127, 128, 129, 255, 255, -255, -128]


@pytest.mark.parametrize(("span", "buckets", "maximum"), [(256, 256, 512), (4, 8, 40), (16, -1, 16), (512, 0, 512)])
@pytest.mark.parametrize("length", [1, 2, 7, 64, 300, 512])
def test_rows_are_those_that_transformers_gathers(length: int, span: int, buckets: int, maximum: int) -> None:
    rows = relative_rows(length, span, buckets, maximum, CPU)
    matrix = build_relative_position(torch.zeros(1, length, 1), torch.zeros(1, length, 1), buckets, maximum)[0]
    expected = torch.clamp(matrix + span, 0, 2 * span - 1)
    distance = torch.arange(length).unsqueeze(1) - torch.arange(length)
    assert torch.equal(rows.start + rows.ascending[distance + length - 1], expected)
    assert torch.equal(rows.start + rows.descending[length - 1 - distance], expected)
    # transformers looks the other term up by the negated distance of the transposed pair
    assert torch.equal(torch.clamp(-matrix.T + span, 0, 2 * span - 1), expected)


def test_only_the_rows_in_use_are_asked_for() -> None:
    rows = relative_rows(24, 256, 256, 512, CPU)
    assert (rows.start, rows.stop) == (256 - 23, 256 + 24)
    assert len(rows.ascending) == len(rows.descending) == 48
    assert int(rows.ascending.max()) == rows.stop - rows.start - 1


def test_scale_divides_by_the_square_root_of_all_terms() -> None:
    assert score_scale(64, 3) == pytest.approx(1 / 192**0.5)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_rows_of_the_first_token_are_those_of_its_distances(length: int) -> None:
    distances = torch.arange(1 - length, length).unsqueeze(1)
    pad = torch.full((1, 1), 99)
    falling, rising = first_token_rows(torch.cat([distances.flip(0), pad]), torch.cat([distances, pad]), length)
    assert falling is not None
    assert rising is not None
    assert falling.flatten().tolist() == rising.flatten().tolist() == [-j for j in range(length)]
    assert first_token_rows(None, None, length) == (None, None)


def test_rows_first_asked_for_in_inference_mode_can_be_used_in_training() -> None:
    with torch.inference_mode():
        rows = relative_rows(7, 251, 0, -1, torch.device("cpu"))
    table = torch.ones(14, 2, requires_grad=True)
    table.index_select(0, rows.descending).sum().backward()
    assert table.grad is not None
