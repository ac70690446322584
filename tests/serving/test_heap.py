from __future__ import annotations

import gc
import weakref

import pytest

from serving.engine import GC_THRESHOLD, freeze_heap
from serving.http.app import _checked, _refuse
from serving.http.reading import _cut
from serving.http.schemas import PredictRequest
from shared.errors import InvalidInputError
from tests.serving.test_admission import FULL, admission, rejected_early


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


def refuse(*_: object) -> None:
    raise InvalidInputError("an example.")


@pytest.mark.parametrize("place", ["early rejection", "one text of several", "segments", "the whole request"])
def test_an_error_that_is_an_answer_holds_no_frames_which_would_hold_it(place, monkeypatch):
    """Such a cycle keeps a request, and its connection, until the garbage collector looks."""
    if place == "early rejection":
        error = rejected_early(admission(FULL))
    elif place == "one text of several":
        error = _checked("", 10)
    elif place == "segments":
        monkeypatch.setattr("serving.http.reading.split", refuse)
        error = _cut("One. Two.", PredictRequest.model_construct(segments="sentence", language=None))
    else:
        with pytest.raises(InvalidInputError) as caught:
            refuse()
        error = caught.value
        _refuse(None, error)  # type: ignore[arg-type]
    assert error.__traceback__ is None
