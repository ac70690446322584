"""A checkpoint's tokenizer is found whatever files it comes with, and splits text as the original does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from shared.errors import ModelError, ModelNotFoundError
from shared.modeling.tokenizer_files import EXTRA_TOKENS, from_sentencepiece, load_tokenizer_json, save_tokenizer
from tests.helpers import tiny_checkpoint, write_tiny_tokenizer
from tests.shared.modeling.spm import train_spm

TEXTS = [
    "I am so happy today!", "  leading and trailing  ", "two  spaces,\ttab and\nnewline", "ﬁne ①st ﾊﾝｶｸ Ｗｉｄｅ",
    "café naïve é", "it's 3:30pm… (really?!)", "emoji 😀 and 漢字", "x", "", " ", "I can't—won't—thank you enough",
    "ＡＢＣ①²³", "don’t “quote” me",
]  # fmt: skip


@pytest.fixture(scope="module")
def spm_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_spm(tmp_path_factory.mktemp("spm") / "spm.model")


def test_sentencepiece_file_gives_the_ids_of_sentencepiece(spm_file: Path) -> None:
    original = sentencepiece.SentencePieceProcessor(model_file=str(spm_file))
    tokenizer = from_sentencepiece(spm_file)
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == original.encode(text), text
        assert tokenizer.encode(text).ids == [1, *ids, 2]


def test_sentencepiece_file_with_options_gives_the_ids_of_transformers_4(spm_file: Path, tmp_path: Path) -> None:
    if int(transformers.__version__.split(".")[0]) > 4:
        pytest.skip("transformers 5 replaces the normaliser of spm.model")
    for lowercase, split in [(False, False), (True, False), (False, True)]:
        expected = transformers.DebertaV2TokenizerFast(str(spm_file), do_lower_case=lowercase, split_by_punct=split)
        tokenizer = from_sentencepiece(spm_file, lowercase=lowercase, split_by_punctuation=split)
        for text in TEXTS:
            assert tokenizer.encode(text).ids == expected(text)["input_ids"], text
        assert tokenizer.token_to_id("[MASK]") == expected.mask_token_id


def test_folder_with_spm_model_alone_follows_its_tokenizer_config(spm_file: Path, tmp_path: Path) -> None:
    (tmp_path / "spm.model").write_bytes(spm_file.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "vocab_type": "spm"}))
    tokenizer = load_tokenizer_json(tmp_path)
    assert tokenizer.encode("HAPPY").ids == tokenizer.encode("happy").ids


def test_stored_truncation_and_padding_are_reset(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path)
    stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    stored.enable_truncation(4)
    stored.enable_padding(length=9)
    stored.save(str(folder / "tokenizer.json"))
    assert len(load_tokenizer_json(folder).encode("i am so very happy").ids) == 7


@pytest.mark.parametrize("kind", ["wordpiece", "sentencepiece"])
def test_extra_tokens_are_one_token_each_and_change_nothing_around_them(
    kind: str, spm_file: Path, tmp_path: Path
) -> None:
    folder = tiny_checkpoint(tmp_path) if kind == "wordpiece" else spm_file.parent
    bare, extended = load_tokenizer_json(folder, extra_tokens=()), load_tokenizer_json(folder)
    name, religion = (extended.token_to_id(token) for token in EXTRA_TOKENS)
    assert bare.token_to_id("[NAME]") is None
    assert (name, religion) == (bare.get_vocab_size(), bare.get_vocab_size() + 1)
    assert extended.encode("I love my dog").ids == bare.encode("I love my dog").ids
    left, right = (bare.encode(part, add_special_tokens=False).ids for part in ("thanks", "love you"))
    assert extended.encode("thanks [NAME] love you", add_special_tokens=False).ids == [*left, name, *right]


def test_tokens_already_in_the_vocabulary_keep_their_ids(tmp_path: Path) -> None:
    extended = load_tokenizer_json(tiny_checkpoint(tmp_path / "one"))
    save_tokenizer(extended, tmp_path / "one", max_length=64)
    again = load_tokenizer_json(tmp_path / "one")
    assert again.get_vocab(with_added_tokens=True) == extended.get_vocab(with_added_tokens=True)


def test_saved_tokenizer_is_taken_by_transformers_as_it_is(spm_file: Path, tmp_path: Path) -> None:
    tokenizer = from_sentencepiece(spm_file)
    save_tokenizer(tokenizer, tmp_path, max_length=77)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == 77
    assert (loaded.pad_token, loaded.cls_token, loaded.sep_token) == ("[PAD]", "[CLS]", "[SEP]")
    for text in TEXTS:
        assert loaded(text)["input_ids"] == tokenizer.encode(text).ids


def test_other_vocabulary_files_go_through_transformers(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "happy", "so", "##ly"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert load_tokenizer_json(tmp_path, extra_tokens=()).encode("so happyly").ids == [2, 6, 5, 7, 3]


def test_folder_without_tokenizer_says_which_files_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no tokenizer can be loaded .* A folder needs tokenizer\.json"):
        load_tokenizer_json(tmp_path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "spm.model").write_bytes(b"\x00 not a model")
    with pytest.raises(ModelError, match=r"spm\.model is not a usable SentencePiece model"):
        load_tokenizer_json(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json is not a readable tokenizer\.json"):
        load_tokenizer_json(tmp_path)


def test_sentencepiece_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it is not a unigram model"):
        from_sentencepiece(train_spm(tmp_path / "spm.model", model_type="bpe"))
    with pytest.raises(ModelError, match=r"lacks the tokens \[PAD\], \[CLS\], \[SEP\], so it is not the vocabulary"):
        from_sentencepiece(train_spm(tmp_path / "spm.model", pad_piece="<pad>", bos_piece="<s>", eos_piece="</s>"))


@pytest.mark.parametrize(
    ("normaliser", "splitter", "options", "difference"),
    [
        (normalizers.Lowercase(), None, {"do_lower_case": False}, "do_lower_case false, tokenizer.json true"),
        (normalizers.NFC(), None, {"do_lower_case": True}, "do_lower_case true, tokenizer.json false"),
        (normalizers.BertNormalizer(lowercase=True), None, {"do_lower_case": False}, "do_lower_case false"),
        (normalizers.BertNormalizer(lowercase=True), None, {"strip_accents": False}, "strip_accents false"),
        (normalizers.BertNormalizer(lowercase=True), None, {"strip_accents": None, "do_lower_case": True}, None),
        (normalizers.Sequence([normalizers.StripAccents()]), None, {"strip_accents": True}, None),
        (None, pre_tokenizers.ByteLevel(add_prefix_space=False), {"add_prefix_space": True}, "add_prefix_space true"),
        (None, pre_tokenizers.Metaspace(prepend_scheme="always"), {"add_prefix_space": True}, None),
        (None, pre_tokenizers.Whitespace(), {"add_prefix_space": True}, None),
    ],
)
def test_a_configuration_that_disagrees_with_the_tokenizer_is_said(
    normaliser: Any, splitter: Any, options: dict[str, Any], difference: str | None, tmp_path: Path, caplog: Any
) -> None:
    write_tiny_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normaliser, splitter or pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(options))
    load_tokenizer_json(tmp_path)
    load_tokenizer_json(tmp_path)
    if difference is None:
        assert caplog.messages == []
    else:
        (message,) = caplog.messages
        assert f"{tmp_path}: tokenizer_config.json has {difference}" in message
        assert message.endswith("tokenizer.json is followed.")
