"""Texts as they are handed in: a column is read, and nothing is taken for texts that is something else."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from emotion_classifiers.texts import listed
from shared.errors import InvalidInputError


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"], ("a", "b"), pd.Series(["a", "b"], index=[7, 3]), np.array(["a", "b"]), iter(["a", "b"]),
        pa.array(["a", "b"]), pa.chunked_array([["a"], ["b"]]),
    ],
    ids=lambda texts: type(texts).__name__,
)  # fmt: skip
def test_texts_come_in_their_order(texts):
    assert listed(texts) == ["a", "b"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("I am sad.", r"texts is one string\. Give a list"),
        (pd.DataFrame({"text": ["a"]}), r'texts is a DataFrame, which has columns\. Give one of them.*frame\["text"\]'),
        (pa.table({"text": ["a"]}), r"texts is a Table, which has columns"),
        ({"text": "a"}, r"texts is a dict, not a list of texts"),
        ({"a", "b"}, r"texts is a set, not a list of texts"),
        (b"ab", r"texts is a bytes, not a list of texts"),
        (None, r"texts is a NoneType, not a list of texts"),
        (np.array("a"), r"texts is a ndarray, not a list of texts"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_be_misread_is_refused(texts, message):
    with pytest.raises(InvalidInputError, match=message):
        listed(texts)
