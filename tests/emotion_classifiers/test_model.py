"""The model behind the front door: the answers of the service, without a service and without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import emotion_classifiers as ec
from serving.predictor import Predictor
from shared.errors import BundleNotFoundError, InvalidInputError, VerificationError
from tests.serving.bundles import stand_in_bundle

TEXTS = ["i am happy", "the dog won !", "they felt angry at work " * 20]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("front_door") / "bundle")


@pytest.fixture(scope="module")
def model(bundle):
    return ec.load(bundle, threads=1)


def probabilities_by_hand(bundle, texts):
    """sigmoid(logits / 1.3), one text at a time: the temperature that the stand-in was written with."""
    predictor = Predictor.load(bundle, threads=1)
    logits = np.concatenate([predictor.logits([text]) for text in texts])
    return 1 / (1 + np.exp(-logits.astype(np.float64) / 1.3))


def test_probabilities_are_calibrated_and_in_order(model, bundle):
    found = model.predict_proba(TEXTS)
    assert (found.dtype, found.shape) == (np.float32, (3, 28))
    np.testing.assert_allclose(found, probabilities_by_hand(bundle, TEXTS), atol=1e-6)


def test_no_texts_give_no_rows(model):
    assert model.predict([]) == []
    assert model.predict_proba([]).shape == (0, 28)


def test_a_prediction_lists_what_reaches_its_threshold_the_most_probable_first(model, bundle):
    expected = probabilities_by_hand(bundle, TEXTS)
    thresholds = np.linspace(0.3, 0.6, 28)  # policy f1 of the stand-in
    for prediction, row in zip(model.predict(TEXTS), expected, strict=True):
        decided = [i for i in np.argsort(-row, kind="stable") if row[i] >= thresholds[i]]
        assert prediction.labels == tuple(model.labels[i] for i in decided)
        assert [score.threshold for score in prediction.scores] == [round(float(thresholds[i]), 6) for i in decided]
        assert all(score.decided for score in prediction.scores)
        np.testing.assert_allclose(list(prediction.probabilities.values()), row, atol=1e-6)
        assert prediction.error is None


def test_long_texts_are_said_to_be_cut(model):
    short, _, long = model.predict(TEXTS)
    assert (short.truncated, short.num_tokens) == (False, 5)  # 3 words, [CLS] and [SEP]
    assert (long.truncated, long.num_tokens) == (True, 102)  # 5 words twenty times


def test_options_are_those_of_the_service(model):
    half, *_ = model.predict(TEXTS, policy="half", thresholds={"joy": 0.0})
    assert {score.threshold for score in half.scores} <= {0.5, 0.0}
    assert "joy" in half.labels
    top, *_ = model.predict(TEXTS, top_k=3)
    assert len(top.scores) == 3
    ekman, *_ = model.predict(TEXTS, taxonomy="ekman", top_k=7)
    assert set(ekman.labels) == {"anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"}
    assert model.policies == ("f1", "half")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "best"}, "policy: unknown for this bundle. Allowed: f1, half."),
        ({"taxonomy": "plutchik"}, "taxonomy: unknown for these labels. Allowed: goemotions, ekman, sentiment."),
        ({"thresholds": {"joi": 0.5}}, "thresholds: the model has no such label. Did you mean 'joy'?"),
        ({"thresholds": {"joy": 2}}, "thresholds: must be at most 1.0."),
        ({"top_k": 0}, "top_k: must be at least 1."),
    ],
)
def test_an_option_that_is_not_allowed_is_refused_as_over_http(model, options, message):
    with pytest.raises(InvalidInputError) as refused:
        model.predict(TEXTS, **options)
    assert str(refused.value) == message


def test_one_string_is_refused(model):
    with pytest.raises(InvalidInputError, match=r"texts is one string\. Give a list"):
        model.predict("i am happy")
    with pytest.raises(InvalidInputError, match="texts is one string"):
        model.predict_proba("i am happy")


def test_a_text_that_cannot_be_read_does_not_fail_its_neighbours(model):
    happy, empty, number, dog = model.predict([TEXTS[0], "  ", 7, TEXTS[1]])
    assert [happy, dog] == model.predict(TEXTS[:2])
    assert empty == ec.Prediction(error="the text is empty: it holds no visible character.")
    assert number == ec.Prediction(error="the text is not a string.")


def test_probabilities_of_a_text_that_cannot_be_read_are_refused(model):
    with pytest.raises(InvalidInputError, match=r"texts\[1\]: the text is empty: it holds no visible character\."):
        model.predict_proba([TEXTS[0], ""])


def test_many_texts_equal_each_alone(model):
    texts = [f"{word} i am {'so ' * (number % 9)}happy" for number, word in enumerate(["you", "we", "they"] * 400)]
    together = model.predict_proba(texts)
    alone = np.concatenate([model.predict_proba([text]) for text in texts[1020:1030]])  # around the chunk's border
    np.testing.assert_allclose(together[1020:1030], alone, atol=1e-6)


def test_an_unverified_bundle_is_refused(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    (bundle / "onnx" / "verification.json").unlink()
    with pytest.raises(VerificationError, match="is unverified"):
        ec.load(bundle)
    with pytest.raises(BundleNotFoundError, match="no bundle at"):
        ec.load(tmp_path / "nothing")


def test_repr_names_bundle_and_precision(model, bundle):
    assert repr(model) == f"Model({str(bundle)!r}, 28 labels, fp32)"
    assert (model.path, model.precision) == (bundle, "fp32")


def test_loading_and_predicting_need_no_torch(bundle):
    script = (
        "import sys, emotion_classifiers as ec\n"
        "assert not {'numpy', 'torch', 'httpx', 'pydantic'} & set(sys.modules)\n"
        "assert ec.load(sys.argv[1]).predict(['i am happy'])[0].labels\n"
        "print(*sorted({'torch', 'transformers', 'pandas', 'sklearn', 'bentoml'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script, bundle], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("\n", "", 0)
