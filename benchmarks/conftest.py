"""Fixtures of the suites; and `pytest benchmarks --benchmark-only` measures, though ordinary runs switch that off."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from serving.predictor import Predictor
from shared.bundle import default_bundle_path
from shared.errors import EmotionError
from shared.tokenizer import Encoded, TextTokenizer

Model = Callable[[Sequence[Encoded]], Any]
"""From encoded texts to logits (N, L), padded together."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let --benchmark-only win over the --benchmark-disable of pyproject.toml."""
    if config.getoption("benchmark_only", default=False):
        config.option.benchmark_disable = False


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Real sentences of mixed lengths, always the same 256."""
    from benchmarks.client import read_texts

    return read_texts(None)[::5][:256]


@pytest.fixture(scope="session")
def predictor() -> Predictor | None:
    """The newest bundle as it is served, on one thread; None where there is none."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        return Predictor.load(default_bundle_path(), threads=1)
    except EmotionError:
        return None


@pytest.fixture(scope="session")
def tokenizer(predictor: Predictor | None) -> TextTokenizer:
    """That of the bundle, else of the starter."""
    from shared.modeling.starter import starter_checkpoint

    if predictor is not None:
        return predictor.tokenizer
    return TextTokenizer.from_file(starter_checkpoint() / "tokenizer.json", max_length=128)


@pytest.fixture(scope="session")
def model(predictor: Predictor | None, tokenizer: TextTokenizer) -> Model:
    """That of the bundle, else our int8 of random weights in the starter's shape."""
    from benchmarks.contenders.graphs import open_ours, quantise_ours
    from benchmarks.contenders.models import STARTER, random_subject

    if predictor is not None:
        return predictor.run
    run = open_ours(quantise_ours(random_subject(STARTER).bench), 1)
    return lambda encoded: run(tokenizer.pad(encoded))
