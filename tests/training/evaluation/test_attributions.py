from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from training.evaluation.attributions import integrated_gradients, occlusion

WEIGHTS = [0.0, 0.0, 0.0, 3.0, -2.0, 0.5, 1.25, -0.75]
"""Of the tokens; 0 is padding, 1 and 2 stand at both ends."""
TEXT = [1, 3, 5, 4, 6, 7, 2]


class SumOfWords(torch.nn.Module):
    """A model whose answer is known by construction: the logit is the sum of its tokens' weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = torch.nn.Embedding(len(WEIGHTS), 2)
        self.embeddings.weight.data = torch.tensor([[weight, 1.0] for weight in WEIGHTS])

    def get_input_embeddings(self):
        return self.embeddings

    def forward(self, input_ids, attention_mask):
        found = (self.embeddings(input_ids) * attention_mask[..., None])[..., 0].sum(dim=1)
        return SimpleNamespace(logits=torch.stack([found, torch.tanh(found)], dim=1))


def test_both_methods_find_the_weights_that_the_model_was_made_of():
    expected = [WEIGHTS[token] for token in TEXT]
    np.testing.assert_allclose(integrated_gradients(SumOfWords(), TEXT, 0, 0), expected, atol=1e-5)
    np.testing.assert_allclose(occlusion(SumOfWords(), TEXT, 0), expected, atol=1e-6)


def test_both_agree_in_rank_where_the_logit_is_not_linear():
    model = SumOfWords()
    one, other = integrated_gradients(model, TEXT, 1, 0), occlusion(model, TEXT, 1)
    assert np.argsort(one[1:-1]).tolist() == np.argsort(other[1:-1]).tolist()


def test_integrated_gradients_add_up_to_the_difference_from_the_baseline():
    total = integrated_gradients(SumOfWords(), TEXT, 1, 0, steps=200).sum()
    assert total == pytest.approx(np.tanh(sum(WEIGHTS[token] for token in TEXT)), abs=1e-3)


def test_a_text_without_words_has_nothing_to_take_out():
    assert occlusion(SumOfWords(), [1, 2], 0).tolist() == [0.0, 0.0]
