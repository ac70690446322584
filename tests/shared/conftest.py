from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def quick_execution() -> Iterator[None]:
    """One thread, and no optimising of what is run a few times."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # transformers 4 scripts parts of its attention, which are optimised anew for every shape
    with torch.jit.optimized_execution(False):
        yield
    torch.set_num_threads(threads)
