"""What a request or a setting is refused with names the field and says what is allowed, in words of ours."""

from __future__ import annotations

import itertools
import re

import pytest
from pydantic import BaseModel, Field, ValidationError

from serving.complaints import describe
from serving.http.compat import HuggingFaceRequest, InfinityRequest
from serving.http.schemas import PredictRequest
from serving.settings import read_settings
from shared.errors import ConfigError

NUMBERS = (3, -1, 0.5, float("inf"), 1e300, True)
OTHERS = ("zebra", [], ["zebra"], [3], [[3]], [[5, -1]], {}, {"zebra": 2}, {"zebra": "x"})


def complaint_about(form, value):
    """What the value is refused with, or nothing."""
    try:
        form.model_validate(value)
    except ValidationError as error:
        return describe(error, form)
    return ""


@pytest.mark.parametrize(
    ("form", "body"),
    [(PredictRequest, {"text": "a"}), (HuggingFaceRequest, {"inputs": "a"}), (InfinityRequest, {"input": "a"})],
)
def test_no_value_of_any_field_is_answered_in_the_words_of_a_library(form, body):
    pairs = itertools.product(form.model_fields, NUMBERS + OTHERS)
    complaints = [(field, complaint_about(form, {**body, field: value})) for field, value in pairs]
    refused = [(field, complaint) for field, complaint in complaints if complaint]
    assert len({field for field, _ in refused}) > 2
    for field, complaint in refused:
        assert complaint.startswith((field, "give either"))
        assert not re.search("[Ii]nput|should|valid|zebra", complaint.replace(field, ""))


def test_numbers_outside_their_bounds_are_answered_with_the_bounds():
    class Bounds(BaseModel):
        most: float = Field(gt=0, lt=5)
        share: int = Field(ge=1, le=9)

    with pytest.raises(ValidationError) as caught:
        Bounds.model_validate({"most": 7, "share": 0})
    assert describe(caught.value, Bounds) == "most: must be below 5.0; share: must be at least 1."
    with pytest.raises(ValidationError) as caught:
        Bounds.model_validate({"most": 0, "share": 10})
    assert describe(caught.value, Bounds) == "most: must be above 0.0; share: must be at most 9."


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("EMOTION_WORKERS", "many", "EMOTION_WORKERS: must be a whole number"),
        ("EMOTION_WORKERS", "0", "EMOTION_WORKERS: must be at least 1"),
        ("EMOTION_CUDA_GRAPHS", "perhaps", "EMOTION_CUDA_GRAPHS: must be true or false"),
    ],
)
def test_a_setting_out_of_bounds_is_named_with_what_is_allowed(name, value, complaint, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    assert complaint in str(caught.value)
    assert value not in str(caught.value).replace(complaint, "")
