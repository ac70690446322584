"""Where context comes from, and that it leaks nowhere."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from emotion_classifiers.adapting.full import CONTEXT_COLUMN, _write_rows
from shared.context import ContextFormat, Turn, Utterance, context_of
from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.labels import LabelSet
from shared.tokenizer import TextTokenizer
from tests.shared.test_context import word_tokenizer
from tests.training.conversations import write_meld
from training.config import AugmentConfig
from training.config.data import DataConfig, SourceConfig
from training.data.augment.rows import augment_train
from training.data.encode import encode_corpus
from training.data.load import load_data, load_eval_split
from training.data.sources.dialogues import read_dailydialog, read_empathetic_dialogues
from training.data.sources.meld import read_meld
from training.data.sources.table import read_table_source
from training.data.sources.turns import MOST_TURNS, previous_turns
from training.data.split import stratified_groups

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
MELD_ROWS = [
    # Sr No., utterance, speaker, emotion, dialogue, turn: not in the order of turns, and two dialogues in turn
    (1, "I won!", "Joey", "joy", 0, 0),
    (2, "Hi.", "Ross", "neutral", 7, 0),
    (3, "Really?", "Monica", "surprise", 0, 2),
    (4, "You did not.", "Ross", "neutral", 0, 1),
    (5, "Really?", "", "anger", 7, 1),
    (6, "Bye.", "Joey", "neutral", 7, 2),
]


def meld(folder, rows=MELD_ROWS, name="train"):
    lines = [
        f'{n},"{text}",{who},{emotion},x,{dialogue},{turn},1,1,0,0' for n, text, who, emotion, dialogue, turn in rows
    ]
    (folder / f"{name}_sent_emo.csv").write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")
    return folder


def turns(text):
    return [tuple(turn) for turn in context_of(text)]


def table(path, rows, *columns):
    path.write_text("\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows), encoding="utf-8")
    return path


def test_meld_gives_the_turns_before_by_dialogue_and_number_with_their_speakers(tmp_path):
    split = read_meld(SourceConfig("meld", str(meld(tmp_path)))).splits["train"]
    assert [list(map(tuple, context)) for context in split.context] == [
        [], [], [("I won!", "Joey"), ("You did not.", "Ross")], [("I won!", "Joey")], [("Hi.", "Ross")],
        [("Hi.", "Ross"), ("Really?", None)],
    ]  # fmt: skip
    assert split.dialogues == ["train:0", "train:7", "train:0", "train:0", "train:7", "train:7"]


def test_a_turn_of_meld_without_a_number_is_refused(tmp_path):
    rows = [(1, "I won!", "Joey", "joy", 0, "x")]
    with pytest.raises(DataFormatError, match="line 2: Utterance_ID is 'x'; expected the number of a turn"):
        read_meld(SourceConfig("meld", str(meld(tmp_path, rows))))


def test_dailydialog_gives_the_utterances_of_a_line(tmp_path):
    (tmp_path / "dialogues_text.txt").write_text("a b . __eou__ c ? __eou__ d __eou__\ne __eou__\n")
    (tmp_path / "dialogues_emotion.txt").write_text("0 1 4\n6\n")
    split = read_dailydialog(SourceConfig("dailydialog", str(tmp_path))).splits["all"]
    assert split.context == [(), (Turn("a b ."),), (Turn("a b ."), Turn("c ?")), ()]
    assert split.dialogues == ["dialogues_text:1"] * 3 + ["dialogues_text:2"]


def test_empathetic_dialogues_has_context_for_utterances_alone(tmp_path):
    header = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags"
    rows = ["c:1,1,joyful,I won a_comma_ b,4,Hello,,", "c:1,2,joyful,I won,5,Who_comma_ me?,,", "c:2,1,sad,x,1,y,,"]
    (tmp_path / "train.csv").write_text("\n".join([header, *rows, ""]))
    source = SourceConfig("empathetic_dialogues", str(tmp_path))
    assert read_empathetic_dialogues(source).splits["train"].context is None
    split = read_empathetic_dialogues(replace(source, utterances=True)).splits["train"]
    assert split.context == [(), (Turn("Hello", "4"),), ()]


def test_history_is_bounded_and_empty_texts_are_no_turns():
    context = previous_turns(["a"] * 200, ["x", None, " ", *map(str, range(197))])
    assert context[3] == (Turn("x"),)
    assert [len(turns) for turns in context[-2:]] == [MOST_TURNS] * 2
    assert context[-1][-1] == Turn("195")


def test_rows_to_train_further_on_keep_their_languages_and_any_text(tmp_path):
    rows = [(f"text {n} \0 \ud83d", ("joy", "anger")[n % 2], ("es", "de", "")[n % 3]) for n in range(60)]
    config = DataConfig(source="table", path=str(table(tmp_path / "t.jsonl", rows, "text", "label", "language")),
                        language_column="language")  # fmt: skip
    data = load_data(config)
    _write_rows(data.train, data.labels.names, tmp_path / "rows.jsonl", seed=1)
    again = load_data(replace(config, path=str(tmp_path / "rows.jsonl"), label_column="joy,anger",
                              split_column="split", text_column="text"))  # fmt: skip
    assert dict(zip(data.train.texts, data.train.languages, strict=True)) == dict(
        zip([*again.train.texts, *again.dev.texts], [*again.train.languages, *again.dev.languages], strict=True)
    )


def test_rows_without_a_dialogue_stand_alone_and_in_no_group(tmp_path):
    rows = [(f"text {n}", ("joy", "anger")[n % 2], d, 7) for n, d in enumerate((None, "", "d", None, "d"))]
    source = SourceConfig("table", str(table(tmp_path / "t.jsonl", rows, "text", "label", "dialogue", "who")),
                          dialogue_column="dialogue", speaker_column="who", group_column="dialogue")  # fmt: skip
    split = read_table_source(source).splits["all"]
    assert split.context == [(), (), (), (), (Turn("text 2", "7"),)]
    assert split.dialogues == split.groups == ["", "", "d", "", "d"]
    train, dev = stratified_groups(np.ones((40, 1)), ["", "a"] * 20, (0.5, 0.5), seed=0)
    assert {row % 2 for row in train} | {row % 2 for row in dev} == {0, 1}
    assert min(sum(row % 2 == 0 for row in part) for part in (train, dev)) > 0


def test_the_last_turns_are_read_and_equal_words_after_others_are_other_rows(tmp_path):
    config = DataConfig(source="meld", path=str(meld(tmp_path)), dev_fraction=0.4, context_turns=1)
    meld(tmp_path, [(1, "Really?", "A", "joy", 0, 0)], "dev")
    splits = load_data(config)
    assert {(text, *turns(text)) for text in splits.train.texts} == {
        ("I won!",), ("Hi.",), ("You did not.", ("I won!", "Joey")), ("Really?", ("You did not.", "Ross")),
        ("Really?", ("Hi.", "Ross")), ("Bye.", ("Really?", None)),
    }  # fmt: skip
    assert sorted(load_data(replace(config, context_turns=None)).train.texts) == [
        "Bye.",
        "Hi.",
        "I won!",
        "You did not.",
    ]
    lines = "\n".join(splits.report.lines())
    assert "up to 1 previous turns, 62 tokens at most, with speakers; 4 of 7 rows have any" in lines
    assert "1 texts of dev are those of train but for case" in lines  # by utterance


def test_a_row_of_dev_is_removed_from_train_with_its_turns(tmp_path):
    meld(tmp_path)
    meld(tmp_path, [(1, "Hi.", "Ross", "joy", 3, 0), (2, "Really?", "B", "anger", 3, 1)], "dev")
    splits = load_data(DataConfig(source="meld", path=str(tmp_path), context_turns=2))
    assert "Hi." not in splits.train.texts  # its first turn, word for word
    assert [turns(text) for text in splits.train.texts if text == "Really?"] == [
        [("I won!", "Joey"), ("You did not.", "Ross")]
    ]


def test_no_dialogue_is_in_two_splits_or_folds(tmp_path):
    rows = [(f"text {d} {turn}", ("joy", "anger")[d % 2], f"d{d}") for d in range(40) for turn in range(5)]
    path = table(tmp_path / "t.jsonl", rows, "text", "label", "dialogue")
    config = DataConfig(source="table", path=str(path), dialogue_column="dialogue", context_turns=2)
    for chosen in (config, replace(config, folds=4, fold=2)):
        splits = load_data(chosen)
        dialogues = [{text.split()[1] for text in corpus.texts} for corpus in splits.named().values()]
        assert len(set.union(*dialogues)) == sum(map(len, dialogues)) == 40
        assert sum(map(len, splits.named().values())) == 200
    context = {str(text): turns(text) for text in load_data(config).train.texts}
    named = next(iter(context)).split()[1]
    assert context[f"text {named} 0"] == []
    assert context[f"text {named} 4"] == [(f"text {named} 2", None), (f"text {named} 3", None)]


def test_turns_in_a_column_of_a_table(tmp_path):
    rows = [(f"text {n}", ["a", {"text": "b", "speaker": "S"}] if n % 2 else "one turn", ("joy", "anger")[n % 2])
            for n in range(40)]  # fmt: skip
    path = table(tmp_path / "t.jsonl", rows, "text", "before", "label")
    splits = load_data(DataConfig(source="table", path=str(path), context_column="before"))
    found = {str(text): turns(text) for corpus in splits.named().values() for text in corpus.texts}
    assert found["text 1"] == [("a", None), ("b", "S")]
    assert found["text 2"] == [("one turn", None)]
    last = load_data(DataConfig(source="table", path=str(path), context_column="before", context_turns=1))
    assert {len(context_of(text)) for text in last.train.texts} == {1}


def test_one_text_in_two_contexts_is_not_taken_for_two_ratings(tmp_path):
    rows = [("really?", [f"news {n}"], ("joy", "anger")[n % 2]) for n in range(60)]
    path = table(tmp_path / "t.jsonl", rows, "text", "before", "label")
    splits = load_data(DataConfig(source="table", path=str(path), context_column="before"))
    assert sum(map(len, splits.named().values())) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context_column": "before", "dialogue_column": "d"}, "previous turns stand in a column, or are the rows"),
        ({"aggregate": "majority", "dialogue_column": "d"}, "data.dialogue_column takes each row for a turn"),
        ({"speaker_column": "who", "context_turns": 1}, "data.speaker_column who: previous turns"),
        ({"context_column": "nope"}, "has no column 'nope', which data.context_column names"),
        ({"context_turns": 1}, "asks for previous turns, and .*t.jsonl has none.*data.dialogue_column"),
    ],
)
def test_what_gives_no_context_is_refused(tmp_path, options, message):
    rows = [(f"text {n}", ["a"], ("joy", "anger")[n % 2], n // 2, "x") for n in range(40)]
    path = table(tmp_path / "t.jsonl", rows, "text", "before", "label", "d", "who")
    with pytest.raises((ConfigError, DataFormatError), match=message):
        load_data(DataConfig(source="table", path=str(path), label_column="label", **options))


def test_a_cell_that_holds_no_turns_is_named(tmp_path):
    rows = [(f"text {n}", [n], ("joy", "anger")[n % 2]) for n in range(40)]
    path = table(tmp_path / "t.jsonl", rows, "text", "before", "label")
    with pytest.raises(DataFormatError, match="t.jsonl, column 'before', row 1: a turn is a text, or an object"):
        load_data(DataConfig(source="table", path=str(path), context_column="before"))


def test_dialogues_are_not_cut_by_time(tmp_path):
    rows = [(f"text {n}", ("joy", "anger")[n % 2], n // 4, f"2020-01-{n % 28 + 1:02}") for n in range(40)]
    path = table(tmp_path / "t.jsonl", rows, "text", "label", "d", "when")
    config = DataConfig(source="table", path=str(path), dialogue_column="d", context_turns=1, date_column="when",
                        temporal_split=True)  # fmt: skip
    with pytest.raises(DataFormatError, match="temporal_split would cut the groups of .*dialogues"):
        load_data(config)


def test_a_bundle_without_context_is_not_evaluated_with_it(tmp_path):
    config = DataConfig(source="meld", path=str(meld(tmp_path)), context_turns=1)
    with pytest.raises(ConfigError, match="the bundle was trained without.*--data.context_turns 3"):
        load_eval_split(config, "train", LabelSet(("joy", "anger")))


def test_a_bundle_is_not_evaluated_with_other_turns_than_its_own(tmp_path):
    config = DataConfig(source="meld", path=str(meld(tmp_path)), context_turns=2)
    with pytest.raises(
        ConfigError, match="data.context_turns is 2, and the bundle reads 1 previous turns. Leave it out"
    ):
        load_eval_split(config, "train", LabelSet(("joy", "anger")), context=ContextFormat(20, 1))


def test_a_bundle_with_context_gets_it_without_being_told(tmp_path):
    config = DataConfig(source="meld", path=str(meld(meld(tmp_path), name="dev")))
    found = load_eval_split(config, "dev", LabelSet(("joy", "anger")), context=ContextFormat(20, 1))
    assert {str(text): turns(text) for text in found.rows.texts}["Bye."] == [("Really?", None)]
    assert "context: up to 1 previous turns" in found.notes[-1]


def test_tokens_in_the_cache_are_those_of_the_context(tmp_path):
    config = DataConfig(source="meld", path=str(meld(tmp_path)), dev_fraction=0.4, context_turns=1)
    meld(tmp_path, [(1, "a", "A", "joy", 0, 0)], "dev")
    train = load_data(config).train
    aware = TextTokenizer(word_tokenizer(), max_length=24, context=ContextFormat(8, 1))
    plain = TextTokenizer(word_tokenizer(), max_length=24)
    cache = tmp_path / "cache"
    rows = [encode_corpus(train, tokenizer, cache=cache)["input_ids"] for tokenizer in (aware, plain, aware)]
    assert rows[0] == rows[2] == [row.ids.tolist() for row in aware.encode(train.texts)]
    assert rows[1] == [row.ids.tolist() for row in plain.encode(train.texts)] != rows[0]
    assert len(list(cache.iterdir())) == 2


def test_other_turns_make_another_corpus(tmp_path):
    config = DataConfig(source="meld", path=str(meld(tmp_path)), dev_fraction=0.4, context_turns=1)
    meld(tmp_path, [(1, "a", "A", "joy", 0, 0)], "dev")
    train = load_data(config).train
    changed = replace(train, texts=[Utterance(text, [Turn("x")]) for text in train.texts])
    stripped = replace(train, texts=[str(text) for text in train.texts])
    assert len({train.fingerprint, changed.fingerprint, stripped.fingerprint}) == 3


def test_new_texts_of_augmentation_keep_the_turns_of_theirs(tmp_path):
    path = write_meld(tmp_path)
    data = load_data(DataConfig(source="meld", path=str(path), context_turns=1))
    config = AugmentConfig(methods=["synonyms", "expansion"], below=500)
    found = augment_train(data, config, seed=1).corpus
    parents = dict(zip(data.train.ids, data.train.texts, strict=True))
    made = [(name, text) for name, text in zip(found.ids, found.texts, strict=True) if "~" in name]
    assert made
    assert any(context_of(text) for _, text in made)
    for name, text in made:
        assert context_of(text) == context_of(parents[name.partition("~")[0]])


def test_rows_that_a_bundle_is_trained_further_on_keep_their_turns(tmp_path):
    data = load_data(DataConfig(source="meld", path=str(write_meld(tmp_path)), context_turns=1))
    names = data.labels.names
    _write_rows(data.train, names, tmp_path / "rows.jsonl", seed=1)
    table = DataConfig(source="table", path=str(tmp_path / "rows.jsonl"), text_column="text", split_column="split",
                       labels=list(names), label_column=",".join(names), context_column=CONTEXT_COLUMN,
                       context_turns=1)  # fmt: skip
    again = load_data(table)

    def described(*parts):
        return sorted((str(text), turns(text)) for part in parts for text in part.texts)

    assert described(again.train, again.dev) == described(data.train)
    assert any(again.dev.contexts)


def test_groups_that_cut_dialogues_are_refused_where_splits_are_cut(tmp_path):
    rows = [
        (f"text {d} {n}", ("joy", "anger")[d % 2], f"d{d}", f"s{n % 2}", f"g{d // 2}")
        for d in range(40)
        for n in (0, 1)
    ]
    path = table(tmp_path / "t.jsonl", rows, "text", "label", "dialogue", "who", "group")
    config = DataConfig(source="table", path=str(path), label_column="label", dialogue_column="dialogue",
                        context_turns=1, group_column="who")  # fmt: skip
    with pytest.raises(DataFormatError, match="data.group_column has rows of one dialogue of .* in several groups"):
        load_data(config)
    whole = load_data(replace(config, group_column="group"))  # two dialogues each
    groups = [{int(text.split()[1]) // 2 for text in corpus.texts} for corpus in whole.named().values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    with pytest.raises(EmptyDataError, match="in groups that are kept whole: too few to hold out"):  # there are two
        load_data(replace(config, context_turns=None))
    form = ContextFormat(20, 1)
    found = load_eval_split(replace(config, context_turns=None), None, LabelSet(("joy", "anger")), context=form)
    assert set(found.rows.groups) == {"s0", "s1"}  # nothing is cut: an audit compares them
