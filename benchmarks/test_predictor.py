"""The model as it is served: from encoded texts to logits, on one thread."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Model
from shared.tokenizer import TextTokenizer


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
