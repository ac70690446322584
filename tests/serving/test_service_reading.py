"""Journals over HTTP: segments and their offsets, reasons, coverage and warnings, and what a long text costs."""

from __future__ import annotations

import numpy as np
import pytest

import emotion_classifiers as ec
from serving.http.app import LONG_CHARACTERS
from serving.http.schemas import MOST_OFFSETS
from shared.errors import InvalidInputError
from shared.labels import GOEMOTIONS
from tests.serving.bundles import MAX_LENGTH, stand_in_bundle
from tests.serving.servers import ask, metric, serving

pytestmark = pytest.mark.slow

ENTRY = "I am so happy today \U0001f389!\r\nAt lunch my sister called: the dog is lost.\x00 I was so sad. Thank you all"
QUEUE = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("reading") / "bundle")


@pytest.fixture(scope="module")
def server(tmp_path_factory, bundle):
    with serving(tmp_path_factory.mktemp("server"), bundle, queue_texts=QUEUE, max_texts=QUEUE) as running:
        yield running


@pytest.fixture(scope="module")
def model(bundle):
    return ec.load(bundle, threads=1)


def test_sentences_have_offsets_into_the_text_as_sent_and_answers_of_their_own(server, model):
    (found,) = ask(server, text=ENTRY, segments="sentence", probabilities=True)
    sentences = [ENTRY[each["start"] : each["end"]] for each in found["segments"]]
    assert sentences == [
        "I am so happy today \U0001f389!", "At lunch my sister called: the dog is lost.", "I was so sad.",
        "Thank you all",
    ]  # fmt: skip
    alone = model.predict_proba(sentences)
    together = np.array([list(each["probabilities"].values()) for each in found["segments"]])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(list(found["probabilities"].values()), alone.max(axis=0), atol=2e-6)
    union = {entry["label"] for each in found["segments"] for entry in each["labels"]}
    assert {entry["label"] for entry in found["labels"]} == union  # this bundle has no thresholds for texts
    assert set(found["timeline"]) == union
    assert all(len(course) == 4 for course in found["timeline"].values())


def test_the_python_interface_and_the_client_say_the_same(server, model):
    options = {"segments": "sentence", "explain": True}
    with ec.Client(server.url) as client:
        theirs = client.predict([ENTRY, "I am sad"], probabilities=True, **options)
    ours = model.predict([ENTRY, "I am sad"], **options)
    for one, other in zip(theirs, ours, strict=True):
        assert [(each.start, each.end, each.labels) for each in one.segments] == [
            (each.start, each.end, each.labels) for each in other.segments
        ]
        assert one.warnings == other.warnings
        for mine, yours in zip(one.segments, other.segments, strict=True):
            assert list(mine.reasons) == list(yours.reasons)
            for words, same in zip(mine.reasons.values(), yours.reasons.values(), strict=True):
                assert {w.start: pytest.approx(w.contribution, abs=1e-4) for w in same} == {
                    w.start: w.contribution for w in words
                }


def test_a_request_without_segments_is_answered_as_before(server):
    plain, other = ask(server, texts=["I am happy today", "happy " * 200])
    assert not {"segments", "timeline", "reasons"} & set(plain)
    assert (plain["warnings"], other["warnings"], other["truncated"]) == ([], ["truncated"], True)


def test_every_word_of_a_long_text_is_read_in_windows(server, model):
    text = "happy " * 100 + "awful " * 100 + "happy " * 100  # the middle is all that head and tail leave out
    cut, whole = ask(server, text=text)[0], ask(server, text=text, long_texts="windows", probabilities=True)[0]
    assert (cut["truncated"], whole["truncated"]) == (True, False)
    awful = model.predict_proba(["awful " * (MAX_LENGTH - 2)])[0]
    assert np.all(np.array(list(whole["probabilities"].values())) >= awful - 1e-5)
    (segmented,) = ask(server, text=text, segments="sentence", probabilities=True)
    assert segmented["probabilities"] == whole["probabilities"]
    assert ask(server, text=text, segments="sentence", long_texts="head_tail")[0]["truncated"]


def test_offsets_of_the_caller(server):
    (found,) = ask(server, text="\U0001f622 I am sad. You too", segments=[[2, 10], [12, 19]])
    assert [(each["start"], each["end"]) for each in found["segments"]] == [(2, 10), (12, 19)]
    assert "segments[0] is [0, 99]; allowed: 0 <= start < end <= 4" in ask(server, 422, text="abcd", segments=[[0, 99]])
    assert "belong to one text" in ask(server, 422, texts=["a", "b"], segments=[[0, 1]])
    assert "segments" in ask(server, 422, text="a", segments="word")


def test_no_offsets_and_too_many_are_refused_in_one_line(server, model):
    allowed = f"allowed: 1 to {MOST_OFFSETS}, or `sentence` or `paragraph` in their place. A valid"
    assert ask(server, 422, text="hi", segments=[]).startswith(f"segments: 0 pairs of offsets; {allowed}")
    many = [[]] * (MOST_OFFSETS + 1)
    assert ask(server, 422, text="hi", segments=many).startswith(f"segments: {len(many)} pairs of offsets; {allowed}")
    with pytest.raises(InvalidInputError, match="0 pairs of offsets; allowed: 1 to"):
        model.predict(["hi"], segments=[])


def test_texts_that_are_split_beside_the_event_loop_are_answered_as_those_split_in_it(server):
    short = "I am sad. You are happy! \U0001f389"
    together = ask(server, texts=[short] * 2 + ["I am happy." + " " * (LONG_CHARACTERS - 20)], segments="sentence")
    assert together[:2] == ask(server, texts=[short] * 2, segments="sentence")
    refused = ask(server, 422, texts=["I am sad. " * 1500] * 2, segments="sentence")
    assert f"3000 segments in one request; allowed: at most {QUEUE}" in refused


def test_words_that_are_taken_out_explain_a_label(server, model):
    text = "I am so happy, my friend"
    (found,) = ask(server, text=text, explain=True, thresholds={"joy": 0.0})
    words = found["reasons"]["joy"]
    assert sorted(each["word"] for each in words) == sorted(["I", "am", "so", "happy", ",", "my", "friend"])
    assert all(text[each["start"] : each["end"]] == each["word"] for each in words)
    assert [each["contribution"] for each in words] == sorted((each["contribution"] for each in words), reverse=True)
    joy = model.labels.index("joy")
    with_it, without = model.predict_proba([text, "I am so , my friend"])[:, joy].astype(float)
    expected = np.log(with_it / (1 - with_it)) - np.log(without / (1 - without))
    assert next(each for each in words if each["word"] == "happy")["contribution"] == pytest.approx(expected, abs=1e-3)


def test_a_label_that_is_not_decided_is_named_with_its_distance(server):
    (found,) = ask(server, text="I am sad", thresholds=dict.fromkeys(GOEMOTIONS, 1.0))
    assert found["labels"] == []
    nearest = found["probably"]
    assert nearest["distance"] == pytest.approx(1 - nearest["probability"], abs=2e-6)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("estoy muy feliz hoy", "other_language"),
        ("我今天很高兴", "unknown_tokens"),
        ("ok", "too_short"),
        ("happy " * 200, "truncated"),
    ],
)
def test_what_the_model_cannot_read_is_said(server, text, warning):
    assert warning in ask(server, text=text)[0]["warnings"]
    (segmented,) = ask(server, text=text, segments="sentence")
    assert (warning in segmented["warnings"]) == (warning != "truncated")


def test_coverage_is_the_share_of_known_tokens(server):
    assert ask(server, text="i am happy")[0]["coverage"] == 1
    assert ask(server, text="i am happy 我")[0]["coverage"] == 0.75


def test_segments_and_words_count_towards_the_room_in_the_queue(server):
    refused = ask(server, 422, text="I am sad. " * (QUEUE + 1), segments="sentence")
    assert f"{QUEUE + 1} segments in one request; allowed: at most {QUEUE}" in refused
    many = " ".join(["sad"] * (QUEUE + 1))
    assert "words to explain" in ask(server, 422, text=many, explain=True, thresholds={"joy": 0.0})
    assert len(ask(server, text="I am sad. " * QUEUE, segments="sentence")[0]["segments"]) == QUEUE
    assert metric(server.url, "emotion_queue_texts") == 0


def test_windows_count_towards_the_room_in_the_queue(server):
    refused = ask(server, 422, texts=["happy " * 300] * 20, long_texts="windows")
    assert f"one for each window of a long text; allowed: at most {QUEUE}" in refused
    words = ask(server, 422, text="happy " * 300, long_texts="windows", explain=True, thresholds={"joy": 0.0})
    assert "model runs for words to explain" in words
    assert metric(server.url, "emotion_queue_texts") == 0


def test_no_text_is_in_the_log(server):
    for options in ({"segments": "sentence"}, {"explain": True}):
        ask(server, text="zebracrossing was here \U0001f389. estoy zebracrossing", **options)
    assert "zebracrossing" not in server.log
