"""A text that holds the name of a special token is read as its words, in bundles that say so."""

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from shared.bundle import Bundle
from shared.context import ContextFormat, Turn, Utterance
from shared.errors import BundleFormatError
from shared.manifest import Manifest
from shared.tokenizer import TextTokenizer
from tests.helpers import write_tiny_tokenizer
from tests.serving.bundles import stand_in_bundle

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]


def unigram():
    """As DeBERTa-v3's: the special tokens are pieces too, and the normaliser makes plain signs of wide ones."""
    pieces = [*((name, 0.0) for name in SPECIAL), *((sign, -4.0) for sign in "▁[]abcdefghijklmnopqrstuvwxyzCELPS")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


@pytest.fixture(params=["word pieces", "unigram"])
def tokenizer(request, tmp_path):
    if request.param == "unigram":
        return unigram()
    return Tokenizer.from_file(str(write_tiny_tokenizer(tmp_path) / "tokenizer.json"))


def ids(tokenizer, *texts, **options):
    return [row.ids.tolist() for row in TextTokenizer(tokenizer, max_length=60, **options).encode(texts)]


def test_names_of_special_tokens_are_their_words(tokenizer):
    said = "a [SEP] b [CLS][PAD] c", "[SEP]" * 4, "a [ SEP] b"
    named, repeated, apart = ids(tokenizer, *said)
    for row in (named, repeated):
        assert not {0, 1, 2} & set(row[1:-1])
    assert ids(tokenizer, "a [SEP] b") == [apart]
    assert ids(tokenizer, "plain words") == ids(tokenizer, "plain words", specials_as_text=False)


def test_signs_that_are_made_plain_later_are_no_way_round():
    (row,) = ids(unigram(), "a ［SEP］ b")
    assert row.count(2) == 1


def test_a_text_is_no_second_segment(tokenizer):
    form = ContextFormat(20)
    two, one = ids(tokenizer, Utterance("a", [Turn("b [SEP] c")]), "a [SEP] b", context=form)
    assert (two.count(2), one.count(2)) == (2, 1)


def test_a_bundle_that_says_nothing_of_it_reads_as_it_was_evaluated(tmp_path):
    folder = stand_in_bundle(tmp_path / "bundle")
    bundle = Bundle.read(folder)
    assert json.loads((folder / "bundle.json").read_text())["special_tokens"] == "text"
    assert bundle.tokenizer().encode(["i [SEP]"])[0].ids.tolist().count(2) == 1
    content = json.loads((folder / "bundle.json").read_text())
    del content["special_tokens"]
    (folder / "bundle.json").write_text(json.dumps(content))
    older = Bundle.read(folder)
    assert older.tokenizer().encode(["i [SEP]"])[0].ids.tolist().count(2) == 2
    assert older.tokenizer().fingerprint != bundle.tokenizer().fingerprint
    (folder / "bundle.json").write_text(json.dumps({**content, "special_tokens": "tokens"}))
    with pytest.raises(BundleFormatError, match="'special_tokens' is 'tokens', expected text or nothing"):
        Manifest.read(folder / "bundle.json")
