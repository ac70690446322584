"""Tokenising: one text as a lone request brings it, and many as a batch job does."""

from __future__ import annotations

from typing import Any

import pytest

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
