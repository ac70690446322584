from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.schemas import check_text, parse_json, parse_request
from shared.errors import BadRequestError, InvalidInputError

LEAK_MARKER = "zebra-crossing-4711"


def parse(value, **options):
    return parse_request(parse_json(json.dumps(value).encode()), max_texts=options.get("max_texts", 10))


def test_texts_and_a_single_text_are_both_requests():
    assert parse({"texts": ["a", "b"]}).candidates == ["a", "b"]
    assert not parse({"texts": ["a"]}).single
    assert parse({"text": "a"}).candidates == ["a"]
    assert parse({"text": "a"}).single


def test_a_whole_number_may_have_a_decimal_point():
    assert parse({"text": "a", "top_k": 3.0}).top_k == 3


def test_bad_texts_pass_the_request_check_since_each_gets_its_own_error():
    assert parse({"texts": ["", 3, None, ["x"]]}).candidates == ["", 3, None, ["x"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "give either `text` or `texts`"),
        ({"text": "a", "texts": ["b"]}, "give either `text` or `texts`"),
        ({"text": "a", "texts": None}, "give either `text` or `texts`"),
        ({"texts": None}, "give either `text` or `texts`"),
        ({"texts": []}, "texts: must have 1 or more entries"),
        ({"texts": "a"}, "texts: must be a list"),
        ({"texts": ["a"] * 11}, "11 texts in one request; allowed: at most 10"),
        (
            {"text": "a", LEAK_MARKER: 1},
            "unknown field (allowed: texts, text, policy, ",
        ),
        ({"text": "a", "top_k": 0}, "top_k: must be at least 1"),
        ({"text": "a", "top_k": 2.5}, "top_k: must be a whole number"),
        ({"text": "a", "policy": [LEAK_MARKER]}, "policy: must be text"),
        ({"text": "a", "probabilities": "yes"}, "probabilities: must be true or false"),
        ({"text": "a", "thresholds": {LEAK_MARKER: 1.5}}, "thresholds: must be at most 1"),
        ({"text": "a", "thresholds": {"joy": "0.5"}}, "thresholds: must be a number"),
        (
            {"text": "a", "thresholds": {str(i): 0.5 for i in range(1001)}},
            "thresholds: must have 1000 or fewer entries",
        ),
    ],
)
def test_a_wrong_field_is_named_and_nothing_of_the_client_is_repeated(value, message):
    with pytest.raises(InvalidInputError) as caught:
        parse(value)
    assert message in str(caught.value)
    assert LEAK_MARKER not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"texts": ["a"', "not valid JSON (line 1, column 15)"),
        (b'{"text": "\xff"}', "not UTF-8"),
        ('{"text": "a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"text": "a", "thresholds": {"joy": NaN}}', "does not allow"),
        (b'{"text": "a", "top_k": 1' + b"0" * 5000 + b"}", "does not allow"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_a_bad_request(body, message):
    with pytest.raises(BadRequestError) as caught:
        parse_request(parse_json(body), max_texts=10)
    assert message in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
fields = st.sampled_from(["text", "texts", "policy", "thresholds", "top_k", "taxonomy", "probabilities", "other"])


@given(
    st.binary(max_size=200) | (json_values | st.dictionaries(fields, json_values)).map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_are_a_request_or_a_typed_error(body):
    with contextlib.suppress(BadRequestError, InvalidInputError):
        parse_request(parse_json(body), max_texts=10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "not a string"),
        (None, "not a string"),
        ("", "is empty"),
        (" \t\n\x00", "is empty"),
        ("a" * 21, "has 21 characters; allowed: at most 20"),
        ("half \ud83d pair", "not valid Unicode"),
    ],
)
def test_an_unusable_text_is_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        check_text(text, max_characters=20)


def test_a_usable_text_is_passed_on_unchanged():
    text = "NUL\x00 emoji \U0001f600 ok"
    assert check_text(text, max_characters=20) == text
