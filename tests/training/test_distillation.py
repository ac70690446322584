"""Distillation: its gradient worked out by hand, and what it leaves alone."""

import numpy as np
import pytest
import torch

from training.distillation import Distillation


def gradient(distillation, student, teacher, known=None):
    logits = torch.tensor(student, requires_grad=True)
    known = torch.ones(logits.shape, dtype=torch.bool) if known is None else torch.tensor(known)
    distillation(logits.new_zeros(()), logits, torch.tensor(teacher), known).backward()
    return logits.grad.numpy()


def test_the_gradient_of_an_entry_is_t_times_the_difference_of_the_softened_probabilities():
    student, teacher = [[1.0, -2.0], [0.5, 3.0]], [[2.0, -1.0], [0.5, -3.0]]
    found = gradient(Distillation(0.25, 2.0), student, teacher)
    # sigmoid(0.5) - sigmoid(1) = 0.6224593 - 0.7310586 = -0.1085993; times w T / (N L) = 0.25 x 2 / 4
    assert found[0, 0] == pytest.approx(-0.1085993 * 0.125, abs=1e-8)
    assert found[1, 0] == 0.0
    soft = 1 / (1 + np.exp(-np.array(student) / 2)) - 1 / (1 + np.exp(-np.array(teacher) / 2))
    assert found == pytest.approx(soft * 0.125, abs=1e-7)


def test_the_gradient_under_a_softmax():
    student, teacher = [[1.0, 0.0, -1.0]], [[0.0, 2.0, 0.0]]
    found = gradient(Distillation(0.5, 2.0, "softmax"), student, teacher)
    p, q = (np.exp(np.array(row) / 2) / np.exp(np.array(row) / 2).sum() for row in (student, teacher))
    assert found == pytest.approx(0.5 * 2.0 * (p - q), abs=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_unknown_entries_have_a_gradient_of_exactly_0(activation):
    known = [[True, False, True], [False, False, False]]
    found = gradient(Distillation(1.0, 3.0, activation), [[1.0, 2.0, 3.0]] * 2, [[0.0, 9.0, -1.0]] * 2, known)
    assert np.all(found[~np.array(known)] == 0)
    assert np.all(found[0, [0, 2]] != 0)


def test_weight_0_is_the_loss_on_the_labels_itself_and_weight_1_the_teacher_alone():
    loss, logits, teacher, known = torch.tensor(0.7), torch.randn(2, 3), torch.randn(2, 3), torch.ones(2, 3).bool()
    assert Distillation(0.0, 2.0)(loss, logits, teacher, known) is loss
    alone = [Distillation(1.0, 2.0)(torch.tensor(value), logits, teacher, known) for value in (0.0, 5.0)]
    assert torch.equal(*alone)
    half = Distillation(0.5, 2.0)(loss, logits, teacher, known)
    assert half == pytest.approx(0.5 * loss + 0.5 * alone[0])
