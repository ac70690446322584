from __future__ import annotations

import gc
import weakref

import pytest

from serving.engine import GC_THRESHOLD, freeze_heap


@pytest.fixture
def own_collector():
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Cycle:
    def __init__(self) -> None:
        self.self = self


@pytest.mark.usefixtures("own_collector")
def test_the_heap_of_now_is_frozen_and_new_objects_are_collected_seldom():
    kept = Cycle()
    freeze_heap()
    assert gc.get_freeze_count() > 1000
    assert not any(found is kept for found in gc.get_objects())
    assert gc.get_threshold()[0] == GC_THRESHOLD


@pytest.mark.usefixtures("own_collector")
def test_garbage_that_was_frozen_goes_the_next_time():
    garbage = Cycle()
    seen = weakref.ref(garbage)
    freeze_heap()
    del garbage
    gc.collect()
    assert seen() is not None
    freeze_heap()
    assert seen() is None
