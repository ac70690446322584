import numpy as np
import pytest

from shared.labels import LabelSet
from shared.tokenizer import TextTokenizer
from tests.helpers import write_tiny_tokenizer
from training.data.corpus import Corpus
from training.data.overview import co_occurrence, length_table, support_table

LABELS = LabelSet(("joy", "love", "fear"))


@pytest.fixture
def corpus():
    targets = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=np.float32)
    known = np.ones(targets.shape, dtype=bool)
    known[3, 2] = False
    texts = ["so glad", "you and i", "we won but i am scared so very very scared", "ok"]
    return Corpus(texts, targets, known, list("abcd"), ["x"] * 4, np.ones(4, np.float32))


def test_support_counts_positives_shares_and_annotated_rows(corpus):
    lines = support_table({"train": corpus, "dev": corpus.take([0])}, LABELS)
    cells = [line.split() for line in lines]
    assert cells[1] == ["joy", "3", "1", "75.00", "4"]
    assert cells[3] == ["fear", "1", "0", "33.33", "3"]
    assert cells[4] == ["rows", "4", "1"]
    assert cells[5][-2:] == ["1", "0"]
    assert cells[6][-2:] == ["1.50", "2.00"]


def test_pairs_are_ordered_by_rows_and_related_to_the_rarer_label(corpus):
    assert co_occurrence(corpus, LABELS) == [
        "  joy + love: 2 (100 % of the rarer)",
        "  joy + fear: 1 (100 % of the rarer)",
    ]
    assert co_occurrence(corpus, LABELS, top=1) == ["  joy + love: 2 (100 % of the rarer)"]
    assert co_occurrence(corpus.take([3]), LABELS) == ["  no row has two labels"]


def test_lengths_in_tokens_tell_what_is_truncated(corpus, tmp_path):
    tokenizer = TextTokenizer.from_file(write_tiny_tokenizer(tmp_path) / "tokenizer.json", max_length=10)
    lines = length_table({"train": corpus}, tokenizer)
    assert lines[0].split() == ["Length", "in", "tokens", "p50", "p95", "p99", "max"]
    assert lines[1].endswith("1 longer than 10, head and tail kept")


def test_lengths_in_words_without_a_tokenizer(corpus):
    assert length_table({"train": corpus}, None)[1].split() == ["train", "2", "9", "10", "10"]
