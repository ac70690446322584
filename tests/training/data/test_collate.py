import pickle

import pytest
import torch

from shared.tokenizer import TextTokenizer
from tests.helpers import write_tiny_tokenizer
from training.data.collate import Collator

ROWS = [
    {"input_ids": [1, 9, 2], "labels": [1.0, 0.25], "known": [True, False], "length": 3},
    {"input_ids": [1, 9, 8, 7, 2], "labels": [0.0, 1.0], "known": [True, True], "length": 5},
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return TextTokenizer.from_file(write_tiny_tokenizer(tmp_path_factory.mktemp("t")) / "tokenizer.json", max_length=12)


def test_batch_is_as_wide_as_its_longest_row(tokenizer):
    batch = Collator(tokenizer)(ROWS)
    assert batch["input_ids"].tolist() == [[1, 9, 2, 0, 0], [1, 9, 8, 7, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[1.0, 0.25], [0.0, 1.0]]
    assert batch["known"].tolist() == [[True, False], [True, True]]
    types = {name: tensor.dtype for name, tensor in batch.items()}
    assert types == {
        "input_ids": torch.int64, "attention_mask": torch.int64, "labels": torch.float32, "known": torch.bool,
    }  # fmt: skip


@pytest.mark.parametrize(("multiple", "width"), [(None, 5), (1, 5), (5, 5), (8, 8)])
def test_width_is_rounded_up(tokenizer, multiple, width):
    assert Collator(tokenizer, multiple)(ROWS)["input_ids"].shape == (2, width)


def test_collator_travels_to_worker_processes(tokenizer):
    copy = pickle.loads(pickle.dumps(Collator(tokenizer, 8)))
    assert copy(ROWS)["input_ids"].tolist() == Collator(tokenizer, 8)(ROWS)["input_ids"].tolist()
