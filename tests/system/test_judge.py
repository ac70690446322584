"""Every rule of the judge is broken once: a judge that cannot condemn says nothing when it acquits."""

from __future__ import annotations

import json

import pytest

from tests.system.judge import Judge, log_problems
from tests.system.sockets import MARKER, Answer, Attack, Outcome, one_of

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
    assert (judge.findings, judge.sent) == ([], 1)
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
        (422, INVALID | {"detail": f"not {MARKER}"}, {}, "the body of a 422 repeats the text"),
        (422, INVALID, {"x_request_id": MARKER}, "the headers of a 422 repeats the text"),
        (429, INVALID | {"error": "overloaded"}, {}, "a 429 without Retry-After"),
    ],
)
def test_a_wrong_error_is_found(status, content, headers, complaint):
    judge = judged(Attack("a kind", (), one_of(422)), answer(status, content, **headers))
    assert judge.findings
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


def test_a_control_requests_answer_is_held_against_the_expected_one():
    attack = Attack("control", (), one_of(200), results=1, control="hello")
    near = judged(attack, answer(200, {"results": [{"probabilities": {"joy": 0.505}}]}))
    assert near.findings == []
    assert near.farthest == pytest.approx(0.005)
    far = judged(attack, answer(200, {"results": [{"probabilities": {"joy": 0.6}}]}))
    assert "a control request's answer is 0.1 off" in far.findings[0]
    assert "lacks labels" in judged(attack, answer(200, {"results": [{}]})).findings[0]


def test_what_never_reached_the_application_may_lack_the_form_but_not_repeat_a_text():
    attack = Attack("upgrade", (), one_of(403), plain=True)
    assert judged(attack, answer(403, b"", x_request_id=None)).findings == []
    assert "repeats the text" in judged(attack, answer(403, MARKER.encode())).findings[0]


CLEAN = json.dumps({"level": "info", "message": "request", "status": 422}) + "\n2026 [WARNING] Invalid HTTP request.\n"


def test_a_clean_log_has_no_findings():
    assert log_problems(CLEAN, ["a text of somebody", "info"]) == []


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        (f"oh {MARKER}!", []), ("Traceback (most recent call last):", []), ('näh "text"\u0001', ['näh "text"\u0001']),
        (json.dumps({"message": 'näh "text"\u0001'}), ['näh "text"\u0001']), (json.dumps({"level": "error"}), []),
        (json.dumps({"level": "info", "exception": "ValueError"}), []), ("[ERROR] x", []), ('{"message": "half', []),
    ],
)  # fmt: skip
def test_texts_tracebacks_errors_and_lines_that_a_text_has_broken_are_found(line, texts):
    assert log_problems(f"{CLEAN}{line}\n", texts) == [line]
