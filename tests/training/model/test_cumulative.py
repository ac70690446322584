"""The head of ordinal intensities: cuts rise whatever is learnt, start at the frequencies, and leave a plain layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shared.intensity import Readout, Scale
from tests.training.rows import tiny_corpus
from training.losses.ordinal import cumulative_link
from training.model.cumulative import CumulativeLinear, starting_cuts, take_cuts


class Small(nn.Module):
    """A head at the end of something."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Tanh(), last)


def layer() -> CumulativeLinear:
    torch.manual_seed(0)
    return CumulativeLinear(nn.Linear(6, 2), torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.5, 4.0]]))


def test_logits_are_the_score_less_each_cut():
    made, states = layer(), torch.randn(3, 6)
    scores = states @ made.weight.T
    cuts = torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.5, 4.0]])
    assert torch.allclose(made(states), (scores[:, :, None] - cuts).flatten(1), atol=1e-5)


def test_cuts_rise_after_steps_that_pull_them_together():
    made = layer()
    optimizer = torch.optim.SGD(made.parameters(), lr=5.0)
    states, known = torch.randn(40, 6), torch.ones(40, 2, dtype=torch.bool)
    targets = torch.randint(0, 2, (40, 2)).float()  # the levels between are never there
    for _ in range(60):
        optimizer.zero_grad()
        cumulative_link()(made(states), targets, known).backward()
        optimizer.step()
    cuts = made.cuts.detach()
    assert (cuts.diff(dim=1) > 0).all()
    assert float(cuts.diff(dim=1).max()) < 0.2
    falling = torch.sigmoid(made(states)).reshape(40, 2, 3).diff(dim=2)
    assert (falling <= 0).all()


def test_a_score_of_0_starts_at_the_frequencies_of_the_levels():
    corpus = tiny_corpus(8, seed=0)
    targets = np.array([0, 0, 0, 0, 1, 1, 2, 3], dtype=np.float32)[:, None].repeat(3, axis=1) / 3
    known = np.ones((8, 3), dtype=bool)
    known[:, 1] = False
    cuts = starting_cuts(corpus.take(range(8), targets=targets, known=known), 4).numpy()
    assert 1 / (1 + np.exp(cuts[0])) == pytest.approx([4 / 8, 2 / 8, 1 / 8], rel=1e-5)
    assert (np.diff(cuts[1]) > 0).all()


def test_taking_the_cuts_leaves_the_scores_in_a_plain_layer_with_the_same_meaning():
    made, states = layer(), torch.randn(5, 6)
    model = Small(made)
    before = torch.sigmoid(model.head(states)).reshape(5, 2, 3).mean(dim=2).detach().numpy()
    cuts = take_cuts(model)
    assert type(model.head[1]) is nn.Linear
    readout = Readout(("joy", "fear"), Scale(0, 3, 1), cuts, 0.9, np.zeros(2), np.zeros(2, dtype=np.int64))
    assert readout.intensities(model.head(states).detach().numpy()) / 3 == pytest.approx(before, abs=1e-6)
    assert take_cuts(model) is None
