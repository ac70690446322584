from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from shared.modeling.device import torch_threads


@pytest.fixture
def quick_execution() -> Iterator[None]:
    """One thread, and no optimising of what is run a few times."""
    # transformers 4 scripts parts of its attention, which are optimised anew for every shape
    with torch_threads(1), torch.jit.optimized_execution(False):
        yield
