"""Previous turns as a second segment: ids worked out by hand from the template, and the same bits without them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from shared.context import ContextFormat, Turn, Utterance, context_of, read_cell, read_turns, with_context
from shared.errors import BundleFormatError, ConfigError
from shared.reference import Reference
from shared.tokenizer import TextTokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnop"]
ID = {word: number for number, word in enumerate(WORDS)}
CLS, SEP = ID["[CLS]"], ID["[SEP]"]


def word_tokenizer(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1"):
    tokenizer = Tokenizer(models.WordLevel(ID, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def tokenizer(max_length=12, length=5, turns=None, speakers=True, **templates):
    return TextTokenizer(
        word_tokenizer(**templates), max_length=max_length, context=ContextFormat(length, turns, speakers)
    )


def said(text, *turns):
    return Utterance(text, [turn if isinstance(turn, Turn) else Turn(turn) for turn in turns])


def words(encoded):
    return " ".join(WORDS[number] for number in encoded.ids)


def row(text, *turns, **options):
    return words(tokenizer(**options).encode([said(text, *turns)])[0])


@settings(deadline=None)
@given(st.lists(st.text(), max_size=6))
def test_texts_without_turns_have_the_same_rows_as_without_context(texts):
    plain, aware = TextTokenizer(word_tokenizer(), max_length=9), tokenizer(9, 3)
    for one, other in zip(plain.encode(texts), aware.encode(texts), strict=True):
        assert one.ids.tobytes() == other.ids.tobytes()
        assert (one.num_tokens, one.truncated, one.num_unknown) == (
            other.num_tokens, other.truncated, other.num_unknown,
        )  # fmt: skip
    for one, other in zip(plain.encode_whole(texts), aware.encode_whole(texts), strict=True):
        assert [window.ids.tobytes() for window in one] == [window.ids.tobytes() for window in other]


def test_a_tokenizer_without_context_reads_the_text_alone():
    plain = TextTokenizer(word_tokenizer(), max_length=12)
    assert words(plain.encode([said("a b", "c")])[0]) == "[CLS] a b [SEP]"


def test_turns_follow_the_text_the_oldest_first_with_the_separator_of_pairs():
    assert row("a b", "c", "d e") == "[CLS] a b [SEP] c [SEP] d [SEP]".replace("d [SEP]", "d e [SEP]")


def test_the_oldest_tokens_are_cut_first():
    # a budget of 4 holds one separator more than a text alone has, and 3 tokens
    assert row("a", "b c d e", length=4) == "[CLS] a [SEP] c d e [SEP]"
    assert row("a", "b c", "d", length=4) == "[CLS] a [SEP] c [SEP] d [SEP]"
    assert row("a", "b", "c d e f", length=4) == "[CLS] a [SEP] d e f [SEP]"
    assert row("a", "b c", "d e", length=4) == "[CLS] a [SEP] d e [SEP]"  # no room for a separator and a token


def test_the_context_gives_way_to_the_text_and_the_text_is_cut_only_where_it_alone_is_too_long():
    # rows of 12: 10 tokens of text at most
    assert row("a b c d e f g", "h i j k") == "[CLS] a b c d e f g [SEP] j k [SEP]"
    assert row("a b c d e f g h", "i j") == "[CLS] a b c d e f g h [SEP] j [SEP]"
    assert row("a b c d e f g h i", "j") == "[CLS] a b c d e f g h i [SEP]"
    assert row("a b c d e f g h i j k", "l") == "[CLS] a b c e f g h i j k [SEP]"  # head 3, tail 7


def test_only_the_last_turns_are_read_and_speakers_where_they_are_wanted():
    turns = ("b", Turn("c", "d"), Turn("e", None))
    assert row("a", *turns, turns=1) == "[CLS] a [SEP] e [SEP]"
    assert row("a", *turns, turns=2, speakers=False) == "[CLS] a [SEP] c [SEP] e [SEP]"
    assert row("a", *turns, turns=2) == "[CLS] a [SEP] [UNK] c [SEP] e [SEP]"  # "d: c": "d:" is one unknown word


def test_empty_turns_are_none():
    assert row("a", " ", "b", "") == "[CLS] a [SEP] b [SEP]"
    assert row("a", " ") == "[CLS] a [SEP]"


def test_a_template_with_two_separators_is_followed():
    options = {"pair": "[CLS] $A [SEP] [SEP] $B [SEP]", "length": 6, "max_length": 16}
    assert row("a", "b", "c", **options) == "[CLS] a [SEP] [SEP] b [SEP] [SEP] c [SEP]"
    assert row("a", "b c d e f", **options) == "[CLS] a [SEP] [SEP] c d e f [SEP]"


def test_the_row_of_one_turn_is_what_the_tokenizer_makes_of_the_pair():
    for pair in ("[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS] $A [SEP] [SEP] $B [SEP]", "$A [SEP] $B [SEP] [CLS]"):
        single = "$A [SEP] [CLS]" if pair.startswith("$A") else "[CLS] $A [SEP]"
        whole = word_tokenizer(single, pair).encode("a b", "c d")
        assert row("a b", "c d", single=single, pair=pair, max_length=16, length=6) == " ".join(whole.tokens)


def test_a_tokenizer_without_a_separator_between_segments_is_refused():
    with pytest.raises(ConfigError, match="puts no separator between two segments.*Choose an encoder"):
        tokenizer(pair="[CLS] $A $B [SEP]")


@pytest.mark.parametrize("length", [1, 6])
def test_a_budget_that_cannot_be_is_refused(length):
    with pytest.raises(ConfigError, match=f"a context of {length} tokens is not possible in rows of 12: 2 to 5 are"):
        tokenizer(length=length)


def test_the_types_of_the_template_say_where_the_second_segment_begins():
    assert tokenizer().segment_separator == SEP
    assert tokenizer(pair="[CLS] $A [SEP] $B [SEP]").segment_separator is None
    assert TextTokenizer(word_tokenizer(), max_length=12).segment_separator is None


def test_every_window_of_a_long_text_has_the_same_context():
    (found,) = tokenizer().encode_whole([said("a b c d e f g h i j k", "l m")])
    # 10 tokens of a row less 3 for "[SEP] l m": windows of 7, the second from token 4 on
    assert [words(window) for window in found] == [
        "[CLS] a b c d e f g [SEP] l m [SEP]", "[CLS] e f g h i j k [SEP] l m [SEP]",
    ]  # fmt: skip
    assert [window.num_tokens for window in found] == [13, 13]
    (alone,) = tokenizer().encode_whole([said("a b c d e f g h i j", "l m")])
    assert [words(window) for window in alone] == ["[CLS] a b c d e f g h i j [SEP]"]


def test_counts_are_of_the_text_alone():
    encoded = tokenizer().encode([said("a ?", "? ? b")])[0]
    assert (encoded.num_tokens, encoded.num_unknown, encoded.truncated) == (4, 1, False)


def test_the_fingerprint_changes_with_the_context_and_not_without_one():
    plain = TextTokenizer(word_tokenizer(), max_length=12)
    forms = [tokenizer(), tokenizer(length=4), tokenizer(turns=2), tokenizer(speakers=False)]
    assert len({plain.fingerprint, *(form.fingerprint for form in forms)}) == 5


def test_an_utterance_is_a_string_that_keeps_its_turns_across_a_pipe():
    text = said("hello", Turn("who?", "Joey"), "hm")
    back = pickle.loads(pickle.dumps(text))
    assert back == text == "hello"
    assert context_of(back) == (Turn("who?", "Joey"), Turn("hm"))
    assert context_of("hello") == context_of(text[:2]) == ()
    assert type(with_context("hello", ())) is str


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        ([], ()),
        (["a", {"text": "b"}, {"text": "c", "speaker": "Joey"}], (Turn("a"), Turn("b"), Turn("c", "Joey"))),
        ([{"text": "b", "speaker": None}, {"text": "b", "speaker": ""}], (Turn("b"), Turn("b"))),
        (np.array(["a", "b"], dtype=object), (Turn("a"), Turn("b"))),
    ],
)
def test_turns_are_read_from_lists(value, found):
    assert read_turns(value) == found


@pytest.mark.parametrize("value", ["a", b"a", 3, {"text": "a"}, [3], [None], [{"speaker": "a"}], [{"text": 3}],
                                   [{"text": "a", "who": "b"}], [["a"]]])  # fmt: skip
def test_what_is_no_list_of_turns_is_refused(value):
    with pytest.raises(ValueError, match=r'a turn is a text, or an object \{"text"'):
        read_turns(value)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("", ()), ("  ", ()), (None, ()), ("Hi there", (Turn("Hi there"),)), ("[sighs]", (Turn("[sighs]"),)),
        ('["a", {"text": "b", "speaker": "c"}]', (Turn("a"), Turn("b", "c"))), (["a"], (Turn("a"),)), ("[]", ()),
        ("[" * 5000 + "]" * 5000, (Turn("[" * 5000 + "]" * 5000),)),
    ],
)  # fmt: skip
def test_a_cell_holds_a_list_or_one_turn(cell, found):
    assert read_cell(cell) == found


def test_a_json_list_of_something_else_is_refused():
    with pytest.raises(ValueError, match="a turn is a text"):
        read_cell("[1, 2]")


def test_reference_rows_keep_the_turns(tmp_path):
    texts = [said("really?", Turn("I won", "Joey"), "é🙂"), "plain", said("really?", "I lost")]
    marks = np.zeros((3, 1), np.uint8)
    rows = Reference(np.array(["0", "1", "2"]), texts, marks, marks == 0, marks.astype(np.float32), "dev")
    rows.write(tmp_path / "with.npz")
    found = Reference.read(tmp_path / "with.npz").texts
    assert found == texts
    assert [context_of(text) for text in found] == [context_of(text) for text in texts]


def test_reference_rows_without_turns_hold_the_same_arrays_as_ever(tmp_path):
    marks = np.zeros((1, 1), np.uint8)
    Reference(np.array(["0"]), ["plain"], marks, marks == 0, marks.astype(np.float32), "dev").write(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as data:
        assert set(data) == {"row_ids", "text_bytes", "text_ends", "labels", "known", "logits", "split"}


def test_turns_that_do_not_belong_to_the_texts_are_refused(tmp_path):
    marks = np.zeros((1, 1), np.uint8)
    path = tmp_path / "r.npz"
    Reference(np.array(["0"]), ["plain"], marks, marks == 0, marks.astype(np.float32), "dev").write(path)
    with np.load(path) as data:
        arrays = dict(data)
    content = np.frombuffer(b"[][]", np.uint8)
    np.savez(path, **arrays, context_bytes=content, context_ends=np.array([2, 4]))
    with pytest.raises(BundleFormatError, match="is not a readable reference"):
        Reference.read(path)


def test_the_format_is_read_back_and_nothing_else_is(tmp_path):
    form = ContextFormat(20, 3, True)
    assert ContextFormat.from_json(form.to_json()) == form
    assert form.to_json()["speaker_form"] == "{speaker}: {text}"
    for changed in ({"length": 0}, {"length": "20"}, {"turns": -1}, {"turns": True}, {"speakers": None},
                    {"speaker_form": "<{speaker}> {text}"}):  # fmt: skip
        with pytest.raises(ValueError, match="format|form of speakers"):
            ContextFormat.from_json(form.to_json() | changed)
    with pytest.raises(ValueError, match="not a context format"):
        ContextFormat.from_json({"length": 3})


def test_turns_that_texts_have_in_common_are_tokenised_once(monkeypatch):
    seen, tokenise = [], TextTokenizer._token_ids
    monkeypatch.setattr(TextTokenizer, "_token_ids", lambda self, texts: seen.extend(texts) or tokenise(self, texts))
    texts = [said("a", "c d", "e"), said("b", "c d", "e"), said("a b", "", "e"), "p"]
    rows = tokenizer(20, 8).encode(texts)
    assert [words(each) for each in rows] == [
        "[CLS] a [SEP] c d [SEP] e [SEP]",
        "[CLS] b [SEP] c d [SEP] e [SEP]",
        "[CLS] a b [SEP] e [SEP]",
        "[CLS] p [SEP]",
    ]
    assert (seen.count("c d"), seen.count("e")) == (1, 1)
