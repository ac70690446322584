"""Single pieces on one thread: tokenising, padding, the choice of batches, and the model as it is served.

They use the newest bundle, else our int8 of random weights in the starter's shape.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from benchmarks.client import read_texts
from serving.predictor import Predictor, batches_by_length
from shared.bundle import default_bundle_path
from shared.errors import EmotionError
from shared.tokenizer import Encoded, TextTokenizer

Model = Callable[[Sequence[Encoded]], Any]
"""From encoded texts to logits (N, L), padded together."""

TEXTS = read_texts(None)[::5][:256]
"""Real sentences of mixed lengths."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[TextTokenizer, Model]:
    """Tokenizer and model."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        predictor = Predictor.load(default_bundle_path(), threads=1)
    except EmotionError:
        from benchmarks.contenders.graphs import open_ours, quantise_ours
        from benchmarks.contenders.models import STARTER, random_subject
        from shared.modeling.starters.minilm import starter_checkpoint

        tokenizer = TextTokenizer.from_file(starter_checkpoint() / "tokenizer.json", max_length=128)
        run = open_ours(quantise_ours(random_subject(STARTER, tmp_path_factory.mktemp("model")).bench), 1)
        return tokenizer, lambda encoded: run(tokenizer.pad(encoded))
    return predictor.tokenizer, predictor.run


@pytest.mark.parametrize("count", [1, 32, 256])
def test_encode(benchmark: Any, served: tuple[TextTokenizer, Model], count: int) -> None:
    """Texts to token ids."""
    assert len(benchmark(served[0].encode, TEXTS[:count])) == count


@pytest.mark.parametrize("count", [1, 32, 256])
def test_pad(benchmark: Any, served: tuple[TextTokenizer, Model], count: int) -> None:
    """Rows to two int64 arrays."""
    encoded = served[0].encode(TEXTS[:count])
    padded = benchmark(served[0].pad, encoded)
    assert padded["input_ids"].shape == (count, max(len(row.ids) for row in encoded))


def test_batches_by_length(benchmark: Any, served: tuple[TextTokenizer, Model]) -> None:
    """Rows of similar length together."""
    lengths = [len(row.ids) for row in served[0].encode(TEXTS)]
    batches = benchmark(lambda: list(batches_by_length(lengths, 1024)))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))


@pytest.mark.parametrize("count", [1, 8, 32])
def test_model(benchmark: Any, served: tuple[TextTokenizer, Model], count: int) -> None:
    """Sentences as they come, padded to the longest."""
    tokenizer, model = served
    assert len(benchmark(model, tokenizer.encode(TEXTS[:count]))) == count
