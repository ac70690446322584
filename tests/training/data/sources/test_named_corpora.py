"""Corpora in the exact formats of their releases: rows, labels and what is refused."""

import numpy as np
import pandas as pd
import pytest

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import GOEMOTIONS
from training.config.data import DataConfig, SourceConfig
from training.data.load import load_data
from training.data.sources import read_source


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(kind, path, **options):
    return read_source(SourceConfig(kind, str(path), **options))


def named(corpus, split):
    return [{corpus.labels[c] for c in row.nonzero()[0]} for row in corpus.splits[split].targets]


BRIGHTER = "id,text,anger,disgust,fear,joy,sadness,surprise"


def test_brighter_has_0_1_columns_by_language_and_texts_over_lines(tmp_path):
    write(
        tmp_path / "track_a/train/deu.csv",
        BRIGHTER,
        'deu_train_track_a_00001,"Na, so\nwas!",0,0,0,1,0,1',
        "deu_2,nein,1,1,0,0,0,0",
    )
    write(tmp_path / "track_a/dev/deu.csv", BRIGHTER, "deu_3,ja,0,0,0,1,0,0")
    corpus = read("brighter", tmp_path)
    frame = pd.read_csv(tmp_path / "track_a/train/deu.csv")
    assert corpus.splits["train"].texts == frame["text"].tolist() == ["Na, so\nwas!", "nein"]
    assert corpus.splits["train"].targets.tolist() == frame.iloc[:, 2:].to_numpy().tolist()
    assert named(corpus, "dev") == [{"joy"}]
    assert "no test/deu.csv" in corpus.missing["test"]


def test_brighter_reads_columns_by_name_and_knows_which_a_language_lacks(tmp_path):
    write(tmp_path / "train/eng.csv", "id,text,joy,anger,fear,sadness,surprise", "1,glad,1,0,0,0,1")
    corpus = read("brighter", tmp_path)
    assert corpus.labels == ("anger", "fear", "joy", "sadness", "surprise")
    assert named(corpus, "train") == [{"joy", "surprise"}]


def test_brighter_intensities_are_a_yes_from_a_value_on(tmp_path):
    write(tmp_path / "train/eng.csv", BRIGHTER, "1,glad,0,0,1,3,0,2")
    assert named(read("brighter", tmp_path), "train") == [{"fear", "joy", "surprise"}]
    told = read("brighter", tmp_path, positive_from=2)
    assert named(told, "train") == [{"joy", "surprise"}]
    assert "intensities 0..3 are a yes from 2 on (data.positive_from)" in told.notes


def test_brighter_asks_for_the_language_and_leaves_a_test_without_gold(tmp_path):
    for language in ("deu", "eng"):
        write(tmp_path / f"train/{language}.csv", BRIGHTER, "1,glad,0,0,0,1,0,0")
    write(tmp_path / "test/eng.csv", BRIGHTER, "9,who knows,,,,,,")
    with pytest.raises(DataFormatError, match=r"holds several languages. Name one with data.language: deu, eng"):
        read("brighter", tmp_path)
    with pytest.raises(DataFormatError, match=r"has no language 'fra'"):
        read("brighter", tmp_path, language="fra")
    corpus = read("brighter", tmp_path, language="eng")
    assert set(corpus.splits) == {"train"}
    assert corpus.missing["test"] == "eng.csv of test holds no labels"
    write(tmp_path / "train/eng.csv", BRIGHTER, "1,glad,7,0,0,1,0,0")
    with pytest.raises(DataFormatError, match=r"column 'anger', row 1: '7'; allowed: 0 to 3"):
        read("brighter", tmp_path, language="eng")


def tweet_eval(folder):
    write(folder / "mapping.txt", "0\tanger", "1\tjoy", "2\toptimism", "3\tsadness")
    for name, ids in {"train": "2013", "val": "1", "test": "30"}.items():
        write(folder / f"{name}_text.txt", *(f"text {name} {n}" for n in range(len(ids))))
        write(folder / f"{name}_labels.txt", *ids)
    return folder


def test_tweet_eval_is_aligned_by_line(tmp_path):
    corpus = read("tweet_eval", tweet_eval(tmp_path))
    assert corpus.labels == ("anger", "joy", "optimism", "sadness")
    assert named(corpus, "train") == [{"optimism"}, {"anger"}, {"joy"}, {"sadness"}]
    assert [len(corpus.splits[split]) for split in ("train", "dev", "test")] == [4, 1, 2]


def test_tweet_eval_that_does_not_fit_is_refused(tmp_path):
    tweet_eval(tmp_path)
    write(tmp_path / "val_labels.txt", "1", "0")
    with pytest.raises(DataFormatError, match=r"val_text.txt has 1 lines, and val_labels.txt has 2"):
        read("tweet_eval", tmp_path)
    write(tmp_path / "val_labels.txt", "4")
    with pytest.raises(DataFormatError, match=r"line 1: '4' is not an id in 0..3"):
        read("tweet_eval", tmp_path)
    write(tmp_path / "mapping.txt", "1\tanger", "0\tjoy")
    with pytest.raises(DataFormatError, match="is not a mapping"):
        read("tweet_eval", tmp_path)


def test_dair_emotion_splits_at_the_last_semicolon(tmp_path):
    write(tmp_path / "train.txt", "i feel a; b;joy", "im grabbing a minute;anger")
    write(tmp_path / "val.txt", "text;emotion", "i am ever feeling nostalgic;love")
    corpus = read("dair_emotion", tmp_path)
    assert corpus.splits["train"].texts == ["i feel a; b", "im grabbing a minute"]
    assert named(corpus, "train") == [{"joy"}, {"anger"}]
    assert named(corpus, "dev") == [{"love"}]
    write(tmp_path / "val.txt", "no label here")
    with pytest.raises(DataFormatError, match=r"val.txt, line 1: 'no label here' is no emotion of this corpus"):
        read("dair_emotion", tmp_path)


def test_xed_ids_count_from_1_and_neutral_has_a_file_of_its_own(tmp_path):
    write(tmp_path / "en-annotated.tsv", "What a day!\t1, 4, 7", "Fine .\t8")
    corpus = read("xed", tmp_path)
    assert named(corpus, "all") == [{"anger", "fear", "surprise"}, {"trust"}]
    assert len(corpus.labels) == 8
    write(tmp_path / "neu_en.txt", "9\tIt is a table.")
    assert named(read("xed", tmp_path / "en-annotated.tsv"), "all")[2] == {"neutral"}
    write(tmp_path / "fi-projections.tsv", "Hyvä .\t0")
    with pytest.raises(DataFormatError, match=r"line 1: expected text, a tab, and ids in 1..8"):
        read("xed", tmp_path, language="fi")
    with pytest.raises(DataNotFoundError, match=r"looked for sv-annotated.tsv and sv-projections.tsv"):
        read("xed", tmp_path, language="sv")


def test_emoevent_is_tab_separated_in_both_forms(tmp_path):
    whole = write(
        tmp_path / "emoevent_en.csv", "id\ttweet\temotion\toffensive", "7\tso, so good\tjoy\tNO", "8\tmeh\tothers\tNO"
    )
    assert named(read("emoevent", whole), "all") == [{"joy"}, {"others"}]
    header = "id\tevent\ttweet\toffensive\temotion"
    write(tmp_path / "s/train_es.tsv", header, "a\tNotreDame\tqué pena\tNO\tsadness")
    write(tmp_path / "s/dev_es.tsv", header, "b\tNotreDame\tqué bien\tNO\tjoy")
    corpus = read("emoevent", tmp_path / "s", language="es")
    assert named(corpus, "train") == [{"sadness"}]
    assert corpus.splits["dev"].texts == ["qué bien"]
    write(tmp_path / "emoevent_en.csv", "id\ttweet\temotion\toffensive", "7\tso good\tglee\tNO")
    with pytest.raises(DataFormatError, match=r"line 2: unknown emotion 'glee'"):
        read("emoevent", whole)
    write(tmp_path / "emoevent_en.csv", "id\ttweet\temotion\toffensive", "7\tso good\tjoy")
    with pytest.raises(DataFormatError, match=r"line 2: 3 fields where the header has 4"):
        read("emoevent", whole)


EMPATHETIC = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags"


def test_empathetic_dialogues_has_commas_in_words_and_further_ones_at_the_end(tmp_path):
    write(
        tmp_path / "train.csv", EMPATHETIC,
        "hit:0_conv:1,1,sentimental,I remember_comma_ once,1,Was this a friend_comma_ or more?,5|5|5_2|2|5,",
        "hit:0_conv:1,2,sentimental,I remember_comma_ once,0,Only a friend.,5|5|5_2|2|5,",
        "hit:1_conv:2,1,afraid,A noise,2,Who is there?,5|5|5_4|3|5,,,",
    )  # fmt: skip
    prompts = read("empathetic_dialogues", tmp_path)
    assert prompts.splits["train"].texts == ["I remember, once", "A noise"]
    assert named(prompts, "train") == [{"sentimental"}, {"afraid"}]
    assert len(prompts.labels) == 32
    turns = read("empathetic_dialogues", tmp_path, utterances=True)
    assert turns.splits["train"].texts == ["Was this a friend, or more?", "Only a friend.", "Who is there?"]
    write(tmp_path / "valid.csv", EMPATHETIC, "a,1,glum,x,1,y,z,")
    with pytest.raises(DataFormatError, match=r"valid.csv, line 2: unknown emotion 'glum'"):
        read("empathetic_dialogues", tmp_path)


def test_dailydialog_is_aligned_by_line_and_utterance(tmp_path):
    write(
        tmp_path / "dialogues_text.txt",
        "Hi . __eou__ Great ! __eou__",
        "One . __eou__",
        "Oh no __eou__ Calm down __eou__",
    )
    write(tmp_path / "dialogues_emotion.txt", "0 4 ", "0 1", "3 0")
    corpus = read("dailydialog", tmp_path)
    assert corpus.splits["all"].texts == ["Hi .", "Great !", "Oh no", "Calm down"]
    assert named(corpus, "all") == [{"neutral"}, {"joy"}, {"fear"}, {"neutral"}]
    assert list(corpus.refused.values()) == [1]
    write(tmp_path / "dialogues_emotion.txt", "0 9 ", "0", "3 0")
    with pytest.raises(DataFormatError, match=r"line 1: '9' is not an id in 0..6"):
        read("dailydialog", tmp_path)
    for name in ("train", "validation"):
        write(tmp_path / f"s/{name}/dialogues_{name}.txt", "Hi . __eou__")
        write(tmp_path / f"s/{name}/dialogues_emotion_{name}.txt", "6")
    assert set(read("dailydialog", tmp_path / "s").splits) == {"train", "dev"}


KINDS = ("brighter", "tweet_eval", "dair_emotion", "xed", "emoevent", "empathetic_dialogues", "dailydialog")


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_that_is_not_there_says_how_to_get_it(kind, tmp_path):
    with pytest.raises(DataNotFoundError, match=f"data.source={kind} needs data.path"):
        read_source(SourceConfig(kind))
    with pytest.raises(DataNotFoundError, match="not found: looked for"):
        read(kind, tmp_path / "nowhere")
    with pytest.raises(DataNotFoundError):
        read(kind, tmp_path)


def test_a_named_corpus_alone_brings_its_own_labels_and_shares_those_of_goemotions(tmp_path):
    alone = load_data(DataConfig(source="tweet_eval", path=str(tweet_eval(tmp_path / "t"))))
    assert alone.labels.names == ("anger", "joy", "optimism", "sadness")
    assert alone.train.known.all()
    for name in ("train", "dev"):
        write(tmp_path / f"g/{name}.tsv", f"fine {name}\t27\tx")
    sources = [SourceConfig("goemotions", str(tmp_path / "g")), SourceConfig("tweet_eval", str(tmp_path / "t"))]
    both = load_data(DataConfig(sources=sources))
    assert both.labels.names == GOEMOTIONS
    rows = np.array(both.train.source) == "tweet_eval"
    assert {GOEMOTIONS[c] for c in np.flatnonzero(both.train.known[rows].any(axis=0))} == set(alone.labels.names)
