from __future__ import annotations

import numpy as np
import pytest

from serving.batching.jobs import Row
from serving.http.compat import InfinityResponse, ScoresRequest, parse_scores_request, render_scores
from shared.bundle import Bundle
from shared.errors import InvalidInputError
from shared.labels import GOEMOTIONS
from tests.serving.bundles import stand_in_bundle

LEAK_MARKER = "zebra-crossing-4711"


def parse(value, *, max_texts: int = 3, activation: str = "sigmoid") -> ScoresRequest:
    return parse_scores_request(value, max_texts=max_texts, activation=activation)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"inputs": "a"}, ScoresRequest(["a"], None, "inputs")),
        ({"inputs": ["a", "b"]}, ScoresRequest(["a", "b"], None, "inputs")),
        ({"inputs": [["a"], ["b"]], "raw_scores": False, "truncate": True}, ScoresRequest(["a", "b"], None, "inputs")),
        ({"inputs": "a", "parameters": {"top_k": 2, "function_to_apply": "sigmoid"}, "options": {"use_cache": False}},
         ScoresRequest(["a"], 2, "inputs")),
        ({"inputs": "a", "parameters": {"top_k": None, "function_to_apply": None}},
         ScoresRequest(["a"], None, "inputs")),
        ({"input": ["a"], "model": "any", "raw_scores": False}, ScoresRequest(["a"], None, "input")),
    ],
)  # fmt: skip
def test_the_forms_of_other_servers_are_understood(value, expected):
    assert parse(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the body must be a JSON object"),
        ({}, r'input: is missing. A valid request: {"input": "I passed!"}'),
        ({"inputs": 3}, "inputs: must be a text or a list of texts"),
        ({"inputs": [["a", "b"]]}, "inputs: must be a text or a list of texts"),
        ({"inputs": []}, "0 texts in one request; allowed: 1 to 3"),
        ({"inputs": ["a"] * 4}, "4 texts in one request; allowed: 1 to 3"),
        ({"inputs": "a", "raw_scores": True}, "raw_scores: must be false: scores are probabilities"),
        ({"inputs": "a", "raw_scores": 0.0}, "raw_scores: must be false: scores are probabilities"),
        ({"input": "a", "raw_scores": 0}, "raw_scores: must be false: scores are probabilities"),
        ({"inputs": "a", LEAK_MARKER: 1}, r"unknown field \(allowed: inputs, parameters"),
        ({"inputs": "a", "parameters": {"top_k": 0}}, r"parameters\.top_k: must be at least 1\."),
        ({"inputs": "a", "parameters": {LEAK_MARKER: 0}}, r"parameters: unknown field \(allowed: top_k, function_to_"),
        ({"inputs": "a", "parameters": 3}, "parameters: must be an object"),
        ({"inputs": "a", "parameters": {"function_to_apply": "softmax"}},
         "function_to_apply: the scores are calibrated probabilities; allowed: sigmoid, or leave it out"),
        ({"inputs": "a", "parameters": {"function_to_apply": "none"}}, "allowed: sigmoid"),
    ],
)  # fmt: skip
def test_what_they_do_not_allow_is_refused_by_name(value, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        parse(value)
    assert LEAK_MARKER not in str(caught.value)


def test_scores_are_all_labels_from_the_most_to_the_least_probable(tmp_path):
    bundle = Bundle.read(stand_in_bundle(tmp_path / "bundle"))
    values = np.full(len(GOEMOTIONS), 0.01)
    values[[GOEMOTIONS.index("joy"), GOEMOTIONS.index("love")]] = 0.25, 0.75
    row = Row(values, num_tokens=5, truncated=False)
    (every,) = render_scores(parse({"inputs": "a"}), [row], bundle)
    assert len(every) == 28
    assert every[:2] == [{"label": "love", "score": 0.75}, {"label": "joy", "score": 0.25}]
    two = render_scores(parse({"inputs": ["a", "b"], "parameters": {"top_k": 1}}), [row, row], bundle)
    assert two == [[{"label": "love", "score": 0.75}]] * 2
    answer = InfinityResponse.model_validate(render_scores(parse({"input": ["a", "b"]}), [row, row], bundle))
    assert (answer.object, answer.model, len(answer.data)) == ("classify", bundle.seal, 2)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (10, 10)
