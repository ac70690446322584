from dataclasses import replace

import numpy as np
import pytest

from shared.tokenizer import TextTokenizer
from tests.helpers import write_tiny_tokenizer
from training.data.corpus import Corpus
from training.data.encode import encode_corpus, lengths_of, token_cache


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(folder):
    return TextTokenizer.from_file(folder / "tokenizer.json", max_length=12)


@pytest.fixture
def corpus():
    texts = ["I love  it", "so sad", "we never won a game and then we won and won and won again"]
    targets = np.array([[1, 0], [0, 1], [0.25, 0]], dtype=np.float32)
    known = np.array([[True, True], [True, True], [True, False]])
    return Corpus(texts, targets, known, ["a", "b", "c"], ["x"] * 3, np.ones(3, np.float32))


def test_rows_hold_what_serving_would_compute(corpus, tokenizer):
    encoded = encode_corpus(corpus, tokenizer)
    assert [row["input_ids"] for row in encoded] == [row.ids.tolist() for row in tokenizer.encode(corpus.texts)]
    assert encoded["labels"][:] == corpus.targets.tolist()
    assert encoded["known"][:] == corpus.known.tolist()
    assert lengths_of(encoded).tolist() == [len(row) for row in encoded["input_ids"]] == [5, 4, 12]


def test_second_reading_comes_from_the_file(corpus, tokenizer, tmp_path, monkeypatch):
    first = encode_corpus(corpus, tokenizer, cache=tmp_path)
    monkeypatch.setattr(TextTokenizer, "encode", lambda *_: pytest.fail("tokenised again"))
    again = encode_corpus(corpus, tokenizer, cache=tmp_path)
    assert again[:] == first[:]
    assert [file.suffix for file in tmp_path.iterdir()] == [".arrow"]


def test_other_data_tokenizer_or_truncation_makes_another_file(corpus, tokenizer, folder, tmp_path):
    encode_corpus(corpus, tokenizer, cache=tmp_path)
    encode_corpus(corpus, TextTokenizer.from_file(folder / "tokenizer.json", max_length=13), cache=tmp_path)
    encode_corpus(
        corpus, TextTokenizer.from_file(folder / "tokenizer.json", max_length=12, head_tokens=5), cache=tmp_path
    )
    encode_corpus(replace(corpus, targets=1 - corpus.targets), tokenizer, cache=tmp_path)
    encode_corpus(corpus.take([0, 1]), tokenizer, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_killed_writing_leaves_nothing(corpus, tokenizer, tmp_path, monkeypatch):
    import pyarrow as pa

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pa.ipc, "new_stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tokenizer, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_cache_that_cannot_be_written_is_done_without(corpus, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.encode._write", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert len(encode_corpus(corpus, tokenizer, cache=tmp_path)) == 3


def test_full_disk_is_not_hidden(corpus, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.encode._write", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(OSError, match="no space"):
        encode_corpus(corpus, tokenizer, cache=tmp_path)


def test_place_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path))
    assert token_cache(None) == tmp_path / "tokens"
    assert token_cache("here").name == "tokens"
    assert token_cache("none") is None
    monkeypatch.delenv("EMOTION_CACHE")
    assert token_cache(None).parts[-3:] == (".cache", "emotion-classifiers", "tokens")
