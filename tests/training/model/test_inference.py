"""Logits of a split: in the order of its rows, whatever the batches."""

import numpy as np
import pytest
import torch

from shared.modeling.classifier import build_classifier
from shared.tokenizer import TextTokenizer
from tests.training.rows import LABELS, tiny_corpus
from training.model.inference import predict_logits


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_logits_are_those_of_each_row_alone(tiny_model, batch_size):
    model = build_classifier(tiny_model, labels=LABELS, pooling="mean")
    tokenizer = TextTokenizer.from_file(tiny_model / "tokenizer.json", max_length=32)
    rows = [row.ids for row in tokenizer.encode(tiny_corpus(20, seed=0).texts)]
    logits = predict_logits(model, tokenizer, rows, batch_size=batch_size)
    model.eval()
    with torch.no_grad():
        alone = [model(input_ids=torch.from_numpy(row[None].astype(np.int64))).logits[0].numpy() for row in rows]
    assert logits.dtype == np.float32
    assert np.allclose(logits, alone, atol=1e-5)
