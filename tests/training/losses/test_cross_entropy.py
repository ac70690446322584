"""Cross-entropies against torch, and what unknown labels do to them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from training.losses.class_weights import LabelWeights
from training.losses.elementwise import softmax_cross_entropy, weighted_binary_cross_entropy


def logits_of(rows: int, labels: int) -> torch.Tensor:
    return torch.randn(rows, labels, generator=torch.Generator().manual_seed(1)) * 3


def test_weighted_bce_agrees_with_torch_positive_weights():
    logits = logits_of(5, 3)
    targets = (torch.arange(15).reshape(5, 3) % 2).float()
    weights = torch.tensor([2.0, 0.5, 7.0])
    expected = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none")
    actual = weighted_binary_cross_entropy(LabelWeights(weights, torch.ones(3)))(logits, targets)
    torch.testing.assert_close(actual, expected)


def test_weights_of_negatives_apply_to_negatives_alone():
    weighted = weighted_binary_cross_entropy(LabelWeights(torch.ones(1), torch.tensor([3.0])))
    losses = weighted(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]))
    assert losses.flatten().tolist() == pytest.approx([3 * math.log(2), math.log(2)])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_agrees_with_torch_where_all_labels_are_known(smoothing):
    logits, classes = logits_of(6, 4), torch.tensor([0, 1, 2, 3, 1, 0])
    known = torch.ones(6, 4, dtype=torch.bool)
    expected = functional.cross_entropy(logits, classes, label_smoothing=smoothing)
    actual = softmax_cross_entropy(smoothing)(logits, functional.one_hot(classes, 4).float(), known)
    assert actual.item() == pytest.approx(expected.item(), rel=1e-6)


def test_softmax_of_a_partly_annotated_row_is_that_of_its_known_labels():
    logits = torch.tensor([[1.0, 9.0, 0.0, -5.0]])
    known = torch.tensor([[True, False, True, False]])
    expected = functional.cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    actual = softmax_cross_entropy()(logits, torch.tensor([[1.0, 0.0, 0.0, 0.0]]), known)
    assert actual.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_gives_unknown_labels_and_unlabelled_rows_gradient_zero(smoothing):
    logits = logits_of(3, 3).requires_grad_()
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    known = torch.tensor([[True, True, False], [True, False, True], [False, False, False]])
    softmax_cross_entropy(smoothing)(logits, targets, known).backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[0, :2] != 0).all()
    assert (logits.grad[1:] == 0).all()  # row 1 is labelled with what is unknown, row 2 with nothing
