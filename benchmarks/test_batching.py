"""From encoded texts to padded arrays, and the choice of which texts share a batch."""

from __future__ import annotations

from typing import Any

import pytest

from serving.predictor import batches_by_length
from shared.tokenizer import TextTokenizer


@pytest.mark.parametrize("count", [1, 32, 256])
def test_pad(benchmark: Any, tokenizer: TextTokenizer, texts: list[str], count: int) -> None:
    """Rows to two int64 arrays."""
    encoded = tokenizer.encode(texts[:count])
    padded = benchmark(tokenizer.pad, encoded)
    assert padded["input_ids"].shape == (count, max(len(row.ids) for row in encoded))


def test_batches_by_length(benchmark: Any, tokenizer: TextTokenizer, texts: list[str]) -> None:
    """Rows of similar length together."""
    lengths = [len(row.ids) for row in tokenizer.encode(texts)]
    batches = benchmark(lambda: list(batches_by_length(lengths, 1024)))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
