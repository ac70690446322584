"""Previous turns over HTTP: what the model reads, what is refused, and the same answers from Python and the client."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
import pytest
from tokenizers import Tokenizer

import emotion_classifiers as ec
from shared.context import MOST_TURNS, ContextFormat
from shared.errors import InvalidInputError
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ask, serving

pytestmark = pytest.mark.slow

TURNS = ["i lost the dog", {"text": "awful news", "speaker": "my sister"}]
MOST_CHARACTERS = 500


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("context") / "bundle", context=ContextFormat(20, 2))


@pytest.fixture(scope="module")
def server(tmp_path_factory, bundle):
    with serving(tmp_path_factory.mktemp("server"), bundle, max_characters=MOST_CHARACTERS) as running:
        yield running


@pytest.fixture(scope="module")
def model(bundle):
    return ec.load(bundle, threads=1)


def probabilities(server, text, **options):
    (found,) = ask(server, text=text, probabilities=True, **options)
    return list(found["probabilities"].values())


def test_the_model_reads_the_pair_that_its_tokenizer_makes(server, model, bundle):
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    ids = tokenizer.encode("so sad", "my sister: awful news").ids
    logits = model.predictor.run([np.array(ids, np.int32)])
    expected = 1 / (1 + np.exp(-logits[0] / 1.3))
    np.testing.assert_allclose(probabilities(server, "so sad", context=TURNS[1:]), expected, atol=2e-6)
    separated = tokenizer.encode("so sad", "i lost the dog").ids + tokenizer.encode("my sister: awful news").ids[1:]
    logits = model.predictor.run([np.array(separated, np.int32)])
    expected = 1 / (1 + np.exp(-logits[0] / 1.3))
    np.testing.assert_allclose(probabilities(server, "so sad", context=TURNS), expected, atol=2e-6)
    more = ["left out, as the model reads two turns", *TURNS]
    np.testing.assert_allclose(probabilities(server, "so sad", context=more), expected, atol=2e-6)


def test_no_turns_are_no_context(server):
    alone = probabilities(server, "so sad")
    assert probabilities(server, "so sad", context=[]) == probabilities(server, "so sad", context=None) == alone
    assert probabilities(server, "so sad", context=TURNS) != alone


def test_python_and_both_clients_say_the_same(server, model):
    texts, context = ["so sad", "i am happy", "thanks"], [TURNS, None, ["good day"]]
    with ec.Client(server.url, batch_size=2) as client:
        theirs = client.predict(texts, context=context, probabilities=True)

    async def twin():
        async with ec.AsyncClient(server.url, batch_size=2) as client:
            return await client.predict(texts, context=context, probabilities=True)

    ours = model.predict(texts, context=context)
    for one, other, third in zip(theirs, asyncio.run(twin()), ours, strict=True):
        assert one.probabilities == other.probabilities == pytest.approx(third.probabilities, abs=2e-6)
        assert one.labels == other.labels == third.labels
    assert ours[1].probabilities == model.predict([texts[1]])[0].probabilities
    assert ours[0].probabilities != model.predict([texts[0]])[0].probabilities


def test_every_segment_is_read_after_the_same_turns(server):
    text = "So sad today. Thanks to my friends."
    (found,) = ask(server, text=text, segments="sentence", context=TURNS, probabilities=True)
    alone = [probabilities(server, text[each["start"] : each["end"]], context=TURNS) for each in found["segments"]]
    assert len(alone) == 2
    np.testing.assert_allclose([list(each["probabilities"].values()) for each in found["segments"]], alone, atol=2e-6)


def test_words_are_explained_with_the_turns_in_place(server):
    (found,) = ask(server, text="so sad today", explain=True, context=TURNS, thresholds={"joy": 0.0})
    scores = {word["word"]: word["contribution"] for word in found["reasons"]["joy"]}
    (joy,) = [each["probability"] for each in found["labels"] if each["label"] == "joy"]
    (without,) = ask(server, text="so today", context=TURNS, thresholds={"joy": 0.0})
    (lost,) = [each["probability"] for each in without["labels"] if each["label"] == "joy"]
    assert scores["sad"] == pytest.approx(np.log(joy / (1 - joy)) - np.log(lost / (1 - lost)), abs=2e-3)


def test_a_turn_that_cannot_be_read_is_the_error_of_its_text_alone(server):
    found = ask(server, texts=["so sad", "so sad", "so sad", "so sad"],
                context=[["ok"], ["fine", "  "], ["x" * (MOST_CHARACTERS + 1)], None])  # fmt: skip
    assert ["error" in each for each in found] == [False, True, True, False]
    assert found[1]["error"]["detail"] == "context, turn 2: the text is empty: it holds no visible character."
    assert found[2]["error"]["detail"] == "context, turn 1: the text has 501 characters; allowed: at most 500."
    assert "context, turn 1: the text is empty" in ask(server, 422, text="so sad", context=[" "])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"texts": ["a b", "c d"], "context": ["x", "y"]}, "one list of turns for 2 texts could be the turns before"),
        ({"texts": ["a b", "c d"], "context": [["x"]]}, "context: 1 lists of turns for 2 texts"),
        ({"text": "a b", "context": ["x", ["y"]]}, "context: some entries are turns and others lists of turns"),
        ({"text": "a b", "context": "zebra"}, "context: previous turns are a list, the oldest first"),
        ({"text": "a b", "context": [3]}, "context: a turn is a text, or an object"),
        ({"text": "a b", "context": [{"text": "x", "zebra": 1}]}, "context: a turn is a text, or an object"),
        ({"text": "a b", "context": ["x"] * (MOST_TURNS + 1)}, "context: 65 previous turns; allowed: at most 64"),
        ({"text": "a b", "context": [{"text": "x", "speaker": "y" * 101}]}, "a speaker has at most 100 characters"),
    ],
)
def test_what_is_no_context_is_refused_without_repeating_it(server, body, message):
    detail = ask(server, 422, **body)
    assert message in detail
    assert "zebra" not in detail


def test_the_model_says_how_it_reads_turns_and_the_document_names_the_field(server):
    said = httpx.get(f"{server.url}/model").json()["context"]
    assert said == {"length": 20, "turns": 2, "speakers": True, "speaker_form": "{speaker}: {text}"}
    schemas = httpx.get(f"{server.url}/docs.json").json()["components"]["schemas"]
    one, many, _null = schemas["PredictRequest"]["properties"]["context"]["anyOf"]
    assert one["maxItems"] == MOST_TURNS
    text, turn = one["items"]["anyOf"]
    assert text["maxLength"] == turn["properties"]["text"]["maxLength"] == MOST_CHARACTERS
    assert many["items"]["anyOf"][0] == one


def test_a_bundle_without_context_refuses_turns(tmp_path):
    plain = stand_in_bundle(tmp_path / "bundle")
    message = "context: this bundle was trained without previous turns, and would not read them. Leave context out"
    with pytest.raises(InvalidInputError, match=message):
        ec.load(plain, threads=1).predict(["so sad"], context=["x"])
    with serving(tmp_path, plain) as running:
        assert message in ask(running, 422, text="so sad", context=["x"])
        assert message in ask(running, 422, texts=["so sad", "b c"], context=[[], ["x"]])
        assert "labels" in ask(running, texts=["so sad", "b c"], context=[[], None])[0]
        assert httpx.get(f"{running.url}/model").json()["context"] is None


def test_no_turn_is_in_the_log(server):
    ask(server, text="so sad", context=["zebra crossing"])
    ask(server, 422, text="so sad", context=["zebra crossing", 3])
    assert "zebra" not in server.log
