from __future__ import annotations

import gc
import weakref

import pytest

from serving.engine.collector import NEW_OBJECTS, set_aside_for_good


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
def test_what_is_there_is_looked_at_no_more_and_what_comes_seldom():
    kept = Cycle()
    set_aside_for_good()
    assert gc.get_freeze_count() > 1000
    assert not any(found is kept for found in gc.get_objects())
    assert gc.get_threshold()[0] == NEW_OBJECTS


@pytest.mark.usefixtures("own_collector")
def test_garbage_that_was_set_aside_goes_the_next_time():
    garbage = Cycle()
    seen = weakref.ref(garbage)
    set_aside_for_good()
    del garbage
    gc.collect()
    assert seen() is not None
    set_aside_for_good()
    assert seen() is None
