from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.client import read_texts, request_bodies
from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError


def test_texts_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    files = {
        "a.txt": "one\n\ntwo\n",
        "a.tsv": "one\t3\tid\ntwo\t1,2\tid\n",
        "a.jsonl": '{"text": "one"}\n{"text": "two"}\n',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert read_texts(tmp_path / name) == ["one", "two"], name


def test_the_embedded_corpus_has_texts_of_mixed_lengths() -> None:
    lengths = {len(text.split()) for text in read_texts(None)}
    assert len(lengths) > 10


def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no input file at .*nowhere.txt"):
        read_texts(tmp_path / "nowhere.txt")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(EmptyDataError, match="is empty"):
        read_texts(tmp_path / "empty.txt")
    (tmp_path / "blank.jsonl").write_text('{"text": " "}\n', encoding="utf-8")
    with pytest.raises(EmptyDataError, match="holds no text"):
        read_texts(tmp_path / "blank.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"text": "one"}\n{"texts": 1}\n', encoding="utf-8")
    with pytest.raises(DataFormatError, match="line 2: None is no text"):
        read_texts(tmp_path / "bad.jsonl")


def test_bodies_use_every_text_once_before_any_comes_again() -> None:
    texts = [f"text {number}" for number in range(6)]
    sent = [json.loads(body)["texts"] for body in islice(request_bodies(texts, 2, seed=5), 6)]
    assert all(len(batch) == 2 for batch in sent)
    flat = [text for batch in sent for text in batch]
    assert sorted(flat[:6]) == sorted(flat[6:]) == texts
    assert flat[:6] != flat[6:]
