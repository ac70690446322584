"""Fixtures for every test: few threads, and one tiny model a session."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_finish() -> None:
    """No collection of garbage walks through what was imported and collected: half a second each, hundreds a run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread_again() -> Iterator[None]:
    """A command sets torch's threads for its process: no later test computes with them, up to ten times as slowly."""
    yield
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random two-layer DeBERTa-v2 with its tokenizer; read-only for tests."""
    from tests.helpers import tiny_checkpoint

    return tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model")
