"""Losses as configured: masks, smoothing, the combination, and laws that all of them keep."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.errors import ConfigError
from training.config import LossConfig
from training.losses.build import build_loss
from training.losses.class_weights import LabelCounts
from training.losses.elementwise import Loss, asymmetric, focal

NAMES = ("bce", "weighted_bce", "focal", "asymmetric", "combined", "cross_entropy")
COUNTS = LabelCounts(positives=np.array([3.0, 10.0, 40.0]), known=np.array([100.0, 100.0, 80.0]))


def batch(rows: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, one label a row, and known entries, always that of the label."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, 3, generator=random) * 2
    targets = torch.nn.functional.one_hot(torch.randint(3, (rows,), generator=random), 3).float()
    known = (torch.rand(rows, 3, generator=random) < 0.6) | targets.bool()
    return logits, targets, known


def loss_of(name: str, **options: object) -> Loss:
    return build_loss(replace(LossConfig(name=name), **options), COUNTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_unknown_labels_have_gradient_exactly_zero_and_known_ones_do_not(name, smoothing):
    logits, targets, known = batch()
    logits[0] = 3.0  # beyond the margin
    logits.requires_grad_()
    loss_of(name, smoothing=smoothing)(logits, targets, known).backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[0][known[0]] != 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_in_an_unknown_entry_does_not_matter(name):
    logits, targets, known = batch()
    other = torch.where(known, targets, 1 - targets)
    assert loss_of(name)(logits, other, known).item() == loss_of(name)(logits, targets, known).item()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_any_known_entry_has_loss_zero(name):
    logits, targets, _ = batch()
    assert loss_of(name)(logits, targets, torch.zeros_like(targets, dtype=torch.bool)).item() == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_halves_is_the_whole_so_that_accumulation_changes_nothing(name):
    logits, targets, known = batch()
    whole = loss_of(name)(logits, targets, known)
    halves = [loss_of(name)(logits[part], targets[part], known[part]) for part in (slice(4), slice(4, 8))]
    assert torch.stack(halves).mean().item() == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_are_computed_in_float32(name):
    logits, targets, known = batch()
    half = loss_of(name)(logits.bfloat16(), targets, known)
    assert half.dtype == torch.float32
    assert half.item() == loss_of(name)(logits.bfloat16().float(), targets, known).item()


@pytest.mark.parametrize("name", NAMES)
def test_right_logits_lose_less_than_wrong_ones(name):
    _, targets, known = batch()
    right = 8.0 * (2.0 * targets - 1.0)
    assert loss_of(name)(right, targets, known) < loss_of(name)(-right, targets, known)


def test_bce_at_logit_zero_is_log_2_over_all_entries():
    known = torch.tensor([[True, True, False, False]])
    loss = build_loss(LossConfig())(torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 1.0, 0.0]]), known)
    assert loss.item() == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("ratio", [0.7, 0.5, 0.3])
def test_combination_is_ratio_asymmetric_rest_focal_and_a_fifth_of_bce(ratio):
    logits, targets, known = batch()
    terms = [asymmetric()(logits, targets), focal()(logits, targets)]
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    expected = ((ratio * terms[0] + (1 - ratio) * terms[1] + 0.2 * bce) * known).mean()
    assert loss_of("combined", ratio=ratio)(logits, targets, known).item() == pytest.approx(expected.item(), rel=1e-6)


def test_smoothing_moves_the_best_logit_to_the_odds_of_the_smoothed_target():
    logit = torch.logit(torch.tensor([[0.95]])).requires_grad_()
    loss_of_smoothed = build_loss(LossConfig(smoothing=0.1))
    loss_of_smoothed(logit, torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)).backward()
    assert logit.grad is not None
    assert logit.grad.item() == pytest.approx(0.0, abs=1e-7)


def test_rare_positives_weigh_more_in_weighted_bce():
    known = torch.ones(1, 3, dtype=torch.bool)
    losses = [loss_of("weighted_bce")(torch.zeros(1, 3), row[None], known).item() for row in torch.eye(3)]
    # weights min(10, n / n1): 10, 10 and 2, beside two negatives of weight 1
    assert losses == pytest.approx([math.log(2) * (weight + 2) / 3 for weight in (10, 10, 2)])


def test_weighted_bce_without_counts_is_refused():
    with pytest.raises(ConfigError, match="weighted_bce', which needs the label counts"):
        build_loss(LossConfig(name="weighted_bce"))
