"""Single pieces: tokenising, padding and the choice of batches, and the model as it is served, on one thread."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Model
from serving.predictor import batches_by_length
from shared.tokenizer import TextTokenizer


@pytest.mark.parametrize("count", [1, 32, 256])
def test_encode(benchmark: Any, tokenizer: TextTokenizer, texts: list[str], count: int) -> None:
    """Texts to token ids."""
    assert len(benchmark(tokenizer.encode, texts[:count])) == count


def test_encode_a_text_longer_than_the_model_takes(benchmark: Any, tokenizer: TextTokenizer, texts: list[str]) -> None:
    """A page of prose, truncated to its head and tail."""
    (row,) = benchmark(tokenizer.encode, [" ".join(texts)])
    assert row.truncated
    assert len(row.ids) == tokenizer.max_length


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


@pytest.mark.parametrize("count", [1, 8, 32])
def test_mixed_lengths(benchmark: Any, model: Model, tokenizer: TextTokenizer, texts: list[str], count: int) -> None:
    """Sentences as they come, padded to the longest."""
    encoded = tokenizer.encode(texts[:count])
    assert len(benchmark(model, encoded)) == count


@pytest.mark.parametrize("length", [16, 128])
def test_one_text(benchmark: Any, model: Model, tokenizer: TextTokenizer, texts: list[str], length: int) -> None:
    """One row of exactly so many tokens."""
    (row,) = tokenizer.encode([" ".join(texts)])
    assert len(benchmark(lambda: model([type(row)(row.ids[:length], length, truncated=True)]))) == 1
