"""Every rule of the judge is broken once: a judge that cannot condemn says nothing when it acquits."""

from __future__ import annotations

import json

import pytest

from benchmarks.attacks.attack import CANARY, Attack, one_of
from benchmarks.attacks.judge import Judge
from benchmarks.attacks.sender import Answer, Outcome

PREDICT = Attack("a kind", (), one_of(200), results=2, errors_at=(1,))
INVALID = {"error": "invalid_input", "error_type": "InvalidInputError", "detail": "no"}
GOOD = {"results": [{"labels": []}, {"error": INVALID}]}


def answer(status, content, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    usual = {"x-request-id": "1", "content-type": "application/json"}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in {**usual, **given}.items() if value is not None}
    return Answer(status, kept, body)


def judged(attack, *answers, trouble=""):
    judge = Judge({"hello": {"joy": 0.5}}, 0.01)
    judge.judge(attack, Outcome(answers, trouble))
    return judge


def test_right_answers_are_counted_and_not_complained_of():
    judge = judged(PREDICT, answer(200, GOOD))
    assert (judge.wrong, judge.findings, judge.sent) == (0, [], 1)
    assert judge.statuses == {"a kind": {"200": 1}}
    busy = answer(429, {**INVALID, "error": "overloaded"}, retry_after="1")
    assert judged(PREDICT, busy).findings == []


@pytest.mark.parametrize(
    ("status", "content", "headers", "complaint"),
    [
        (500, INVALID | {"error": "internal_error"}, {}, "status 500, right would be [422]"),
        (503, INVALID | {"error": "not_ready"}, {}, "status 503"),
        (200, {}, {}, "status 200"),
        (422, b"Unprocessable", {}, "a 422 that is not JSON"),
        (422, INVALID, {"content_type": "text/plain"}, "a 422 that is not JSON"),
        (422, INVALID | {"trace": "x"}, {}, "a 422 with the fields"),
        (422, INVALID | {"detail": ["x"]}, {}, "a 422 with the fields"),
        (422, INVALID | {"error": "bad_request"}, {}, "a 422 named 'bad_request'"),
        (422, INVALID, {"x_request_id": None}, "no X-Request-Id"),
        (422, INVALID | {"detail": f"not {CANARY}"}, {}, "the body of a 422 repeats the text"),
        (422, INVALID, {"x_request_id": CANARY}, "the headers of a 422 repeats the text"),
        (429, INVALID | {"error": "overloaded"}, {}, "a 429 without Retry-After"),
    ],
)
def test_a_wrong_error_is_found(status, content, headers, complaint):
    judge = judged(Attack("a kind", (), one_of(422)), answer(status, content, **headers))
    assert judge.wrong >= 1
    assert any(complaint in finding for finding in judge.findings), judge.findings


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"results": [{}]}, "not 2 results"),
        ({}, "not 2 results"),
        ({"results": [{"error": INVALID}, {}]}, "errors at (0,), right would be (1,)"),
        ({"results": [{}, {}]}, "errors at (), right would be (1,)"),
        ({"results": [{}, {"error": INVALID | {"error": "not_ready"}}]}, "another error than invalid_input"),
    ],
)
def test_a_wrong_result_is_found(content, complaint):
    assert complaint in judged(PREDICT, answer(200, content)).findings[0]


def test_a_missing_answer_is_found_unless_the_client_did_not_stay_for_it():
    assert "1 answers missing (reset)" in judged(PREDICT, trouble="reset").findings[0]
    gone = Attack("gone", (), one_of(200), optional=True)
    assert judged(gone).findings == []
    assert judged(gone).statuses == {"gone": {"none": 1}}
    several = Attack("several", (), (frozenset({200}), frozenset({200})))
    assert "1 answers missing" in judged(several, answer(200, {})).findings[0]


def test_an_innocents_answer_is_held_against_the_truth():
    attack = Attack("innocent", (), one_of(200), results=1, innocent="hello")
    near = judged(attack, answer(200, {"results": [{"probabilities": {"joy": 0.505}}]}))
    assert near.findings == []
    assert near.farthest == pytest.approx(0.005)
    far = judged(attack, answer(200, {"results": [{"probabilities": {"joy": 0.6}}]}))
    assert "an innocent's answer is 0.1 off" in far.findings[0]
    assert "lacks labels" in judged(attack, answer(200, {"results": [{}]})).findings[0]


def test_what_never_reached_the_application_may_lack_the_form_but_not_repeat_a_text():
    attack = Attack("upgrade", (), one_of(403), plain=True)
    assert judged(attack, answer(403, b"", x_request_id=None)).findings == []
    assert "repeats the text" in judged(attack, answer(403, CANARY.encode())).findings[0]
