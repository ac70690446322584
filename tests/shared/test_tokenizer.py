from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from shared.errors import BundleFormatError, ConfigError
from shared.tokenizer import TextTokenizer, _special_ids
from tests.helpers import write_tiny_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij"]


def word_tokenizer(pad="[PAD]"):
    vocabulary = {word.replace("[PAD]", pad): number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def test_a_long_text_keeps_its_head_and_its_tail_between_the_special_tokens():
    tokenizer = TextTokenizer(word_tokenizer(), max_length=6, head_tokens=1)
    (long, short) = tokenizer.encode(["a b c d e f g h i j", "a  b"])
    assert long.ids.tolist() == [2, 4, 11, 12, 13, 3]
    assert (long.num_tokens, long.truncated) == (12, True)
    assert short.ids.tolist() == [2, 4, 5, 3]
    assert (short.num_tokens, short.truncated) == (4, False)


def test_512_means_128_from_the_start_and_382_from_the_end():
    tokenizer = TextTokenizer(word_tokenizer(), max_length=512)
    ids = tokenizer.encode([" ".join(["a"] * 128 + ["b"] * 600 + ["c"] * 382)])[0].ids
    assert ids.tolist() == [2] + [4] * 128 + [6] * 382 + [3]


def test_padding_is_to_the_longest_row_or_to_a_given_length():
    tokenizer = TextTokenizer(word_tokenizer(), max_length=8)
    batch = tokenizer.pad(tokenizer.encode(["a b", "a"]))
    assert batch["input_ids"].tolist() == [[2, 4, 5, 3], [2, 4, 3, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == np.int64
    assert tokenizer.pad([np.array([7])], length=3)["input_ids"].tolist() == [[7, 0, 0]]
    assert tokenizer.pad([])["input_ids"].shape == (0, 0)


def test_truncation_and_padding_stored_in_the_file_are_ignored(tmp_path):
    stored = word_tokenizer()
    stored.enable_truncation(3)
    stored.enable_padding(length=9)
    stored.save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer.from_file(tmp_path / "tokenizer.json", max_length=8)
    assert tokenizer.encode(["a b c d"])[0].ids.tolist() == [2, 4, 5, 6, 7, 3]


def test_the_fingerprint_changes_with_vocabulary_and_truncation():
    base = TextTokenizer(word_tokenizer(), max_length=8)
    assert base.fingerprint == TextTokenizer(word_tokenizer(), max_length=8).fingerprint
    others = [
        TextTokenizer(word_tokenizer(), max_length=9),
        TextTokenizer(word_tokenizer(), max_length=8, head_tokens=1),
        TextTokenizer(word_tokenizer("<pad>"), max_length=8),
        TextTokenizer(word_tokenizer(), max_length=8, normalisation="plain"),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_emoji_are_read_by_name_unless_the_normalisation_is_plain(tmp_path):
    folder = write_tiny_tokenizer(tmp_path)
    named = TextTokenizer.from_file(folder / "tokenizer.json", max_length=32)
    plain = TextTokenizer.from_file(folder / "tokenizer.json", max_length=32, normalisation="plain")
    (face, words), (as_it_is, unknown) = (tokens.encode(["so 😢", "so crying face"]) for tokens in (named, plain))
    assert face.ids.tolist() == words.ids.tolist() == unknown.ids.tolist()
    assert as_it_is.ids.tolist()[2:-1] == [plain.unknown_id]


@pytest.mark.parametrize(("max_length", "head"), [(2, None), (6, 5), (6, -1)])
def test_impossible_truncation_is_refused(max_length, head):
    with pytest.raises(ConfigError, match="2 special tokens are needed"):
        TextTokenizer(word_tokenizer(), max_length=max_length, head_tokens=head)


def test_broken_tokenizers_are_refused(tmp_path):
    with pytest.raises(BundleFormatError, match="no tokenizer at"):
        TextTokenizer.from_file(tmp_path / "tokenizer.json", max_length=8)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleFormatError, match="not a readable tokenizer.json"):
        TextTokenizer.from_file(tmp_path / "tokenizer.json", max_length=8)
    with pytest.raises(BundleFormatError, match="no padding token"):
        TextTokenizer(word_tokenizer("nothing"), max_length=8)


def test_a_post_processor_that_changes_the_text_is_refused():
    class Rewriting:
        def encode(self, text, add_special_tokens):
            return SimpleNamespace(ids=[9, 9, 9] if add_special_tokens else [4])

    with pytest.raises(BundleFormatError, match="changes the text's own tokens"):
        _special_ids(Rewriting())
