from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serving.batching.jobs import Row
from serving.http import reading
from serving.http.reading import read
from serving.http.schemas import PredictRequest
from shared.bundle import Bundle
from shared.calibration import Calibration
from shared.errors import InvalidInputError
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    folder = stand_in_bundle(tmp_path_factory.mktemp("reading") / "bundle", labels=("joy", "anger", "fear"))
    return replace(Bundle.read(folder), calibration=Calibration.identity(3, "softmax"))


def answered(*windows: list[float]) -> Row:
    first, *others = (Row(np.array(window), 5, truncated=False) for window in windows)
    for other in others:
        first = first.joined(other)
    return first


def test_segments_of_a_softmax_sum_to_one(bundle):
    request = PredictRequest(text="", segments="sentence", probabilities=True)
    asked = read(["I am glad. I am mad."], request, bundle, served=bundle, most_pieces=9)
    assert next(asked).texts == ["I am glad.", "I am mad."]
    with pytest.raises(StopIteration) as done:
        asked.send([answered([0.9, 0.05, 0.05]), answered([0.05, 0.9, 0.05])])
    found = done.value.value[0].result["probabilities"]
    assert list(found.values()) == pytest.approx([18 / 37, 18 / 37, 1 / 37], abs=1e-6)


def test_words_to_explain_are_counted_by_window_before_a_text_is_made_of_them(bundle, monkeypatch):
    monkeypatch.setattr(reading, "without", lambda *_: pytest.fail("a text was made"))
    request = PredictRequest(text="", explain=True, long_texts="windows")
    asked = read(["four words are here"], request, bundle, served=bundle, most_pieces=7)
    next(asked)
    with pytest.raises(InvalidInputError, match="8 model runs for words to explain in one request; allowed: at most 7"):
        asked.send([answered([0.9, 0.05, 0.05], [0.9, 0.05, 0.05])])
