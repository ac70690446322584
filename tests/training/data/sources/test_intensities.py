"""EmoInt, SemEval-2018 EI-reg and EI-oc, BRIGHTER track B and tables of intensities, in their real formats."""

from __future__ import annotations

import re

import numpy as np
import pytest

from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from shared.intensity import Scale
from tests.intensity_rows import LABELS, write_brighter, write_emoint
from training.config import DataConfig, SourceConfig
from training.data.load import load_data
from training.data.overview import overview
from training.data.sources import INTENSITY_READERS, READERS, read_source
from training.data.sources.intensities import read_emoint, read_semeval_ei

HEADERS = {"reg": "ID\tTweet\tAffect Dimension\tIntensity Score", "oc": "ID\tTweet\tAffect Dimension\tIntensity Class"}
CLASSES = {
    0: "0: no anger can be inferred", 1: "1: low amount of anger can be inferred",
    2: "2: moderate amount of anger can be inferred", 3: "3: high amount of anger can be inferred",
}  # fmt: skip


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_emoint_has_a_file_an_emotion_whose_others_are_unknown(tmp_path):
    write(
        tmp_path / "anger-ratings-0to1.train.txt", ['10\tI am "so" angry\tanger\t0.938', "11\tfine, really\tanger\t0.1"]
    )
    write(tmp_path / "joy-ratings-0to1.train.txt", ["30\twonderful day\tjoy\t0.8"])
    write(tmp_path / "anger-ratings-0to1.dev.gold.txt", ["12\tgo away\tanger\t0.5"])
    write(tmp_path / "anger-ratings-0to1.dev.target.txt", ["12\tgo away\tanger\tNONE"])
    write(tmp_path / "anger-ratings-0to1.test.target.txt", ["13\tstop it\tanger\tNONE"])
    raw = read_emoint(SourceConfig(kind="emoint", path=str(tmp_path)))
    assert (raw.labels, raw.scale) == (("anger", "joy"), Scale(0, 1))
    train = raw.splits["train"]
    assert train.texts == ['I am "so" angry', "fine, really", "wonderful day"]
    assert train.ids == ["anger:10", "anger:11", "joy:30"]
    assert train.known.tolist() == [[True, False], [True, False], [False, True]]
    assert train.targets[train.known].tolist() == pytest.approx([0.938, 0.1, 0.8])
    assert raw.splits["dev"].targets[0, 0] == pytest.approx(0.5)
    assert "gold is hidden" in raw.missing["test"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("10\ttext\tanger", "3 fields separated by tabs, expected 4"),
        ("10\ttext\tfear\t0.5", "the emotion is 'fear'"),
        ("10\ttext\tanger\t1.5", "'1.5' is no intensity"),
        ("10\ttext\tanger\thigh", "'high' is no intensity"),
        ("9\ttext\tanger\t0.5\n10\ttext\tanger\tNONE", "holds NONE for 1 of 2 intensities"),
    ],
)
def test_lines_that_are_not_in_the_format_are_refused(tmp_path, line, message):
    write(tmp_path / "anger-ratings-0to1.train.txt", [line])
    with pytest.raises(DataFormatError, match=message):
        read_emoint(SourceConfig(kind="emoint", path=str(tmp_path)))


def test_nothing_there_and_gold_of_some_emotions_alone_are_said(tmp_path):
    with pytest.raises(DataNotFoundError, match="no EmoInt in"):
        read_emoint(SourceConfig(kind="emoint", path=str(tmp_path)))
    with pytest.raises(DataNotFoundError, match="needs data.path"):
        read_emoint(SourceConfig(kind="emoint"))
    write(tmp_path / "anger-ratings-0to1.train.txt", ["1\ta\tanger\t0.5"])
    write(tmp_path / "joy-ratings-0to1.train.txt", ["2\tb\tjoy\tNONE"])
    with pytest.raises(DataFormatError, match="the train files of joy"):
        read_emoint(SourceConfig(kind="emoint", path=str(tmp_path)))


def test_ei_reg_and_ei_oc_are_found_in_the_official_folders(tmp_path):
    folder = tmp_path / "EI-reg"
    write(folder / "training/EI-reg-En-anger-train.txt", [HEADERS["reg"], "2017-En-1\tso angry\tanger\t0.562"])
    write(folder / "development/2018-EI-reg-En-anger-dev.txt", [HEADERS["reg"], "2018-En-2\tcalm\tanger\t0.05"])
    write(folder / "test/2018-EI-reg-En-anger-test.txt", [HEADERS["reg"], "2018-En-3\tha\tanger\tNONE"])
    write(folder / "gold/2018-EI-reg-En-anger-test-gold.txt", [HEADERS["reg"], "2018-En-3\tha\tanger\t0.25"])
    raw = read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(folder)))
    assert (raw.labels, raw.scale) == (("anger",), Scale(0, 1))
    assert {name: float(split.targets[0, 0]) for name, split in raw.splits.items()} == pytest.approx(
        {"train": 0.562, "dev": 0.05, "test": 0.25}
    )
    oc = tmp_path / "EI-oc"
    rows = [f"2018-En-{level}\ttext {level}\tanger\t{words}" for level, words in CLASSES.items()]
    write(oc / "EI-oc-En-anger-train.txt", [HEADERS["oc"], *rows])
    raw = read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(oc)))
    assert raw.scale == Scale(0, 3, 1)
    assert raw.splits["train"].targets[:, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    with pytest.raises(DataFormatError, match="both EI-reg and EI-oc"):
        read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path)))


def test_ei_of_several_languages_or_another_header_or_class_is_refused(tmp_path):
    for language in ("En", "Es"):
        write(tmp_path / f"EI-oc-{language}-joy-train.txt", [HEADERS["oc"], f"1\t{language}\tjoy\t1: low amount"])
    with pytest.raises(DataFormatError, match="several languages"):
        read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path)))
    raw = read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path), language="es"))
    assert raw.splits["train"].texts == ["Es"]
    write(tmp_path / "EI-oc-Es-joy-train.txt", [HEADERS["oc"], "1\tEs\tjoy\t7: unheard of"])
    with pytest.raises(DataFormatError, match="'7: unheard of' is no intensity"):
        read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path), language="es"))
    write(tmp_path / "EI-oc-Es-joy-train.txt", [HEADERS["reg"], "1\tEs\tjoy\t0.3"])
    with pytest.raises(DataFormatError, match="has the header"):
        read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path), language="es"))


def test_brighter_track_b_keeps_its_intensities(tmp_path):
    write_brighter(tmp_path, counts=(30, 10, 10))
    raw = read_source(SourceConfig(kind="brighter", path=str(tmp_path)), task="intensity")
    assert (raw.labels, raw.scale) == (LABELS, Scale(0, 3, 1))
    assert set(np.unique(np.round(raw.splits["train"].targets * 3, 6))) == {0, 1, 2, 3}
    again = read_source(SourceConfig(kind="brighter", path=str(tmp_path / "track_b")))
    assert again.scale is None
    assert set(np.unique(again.splits["train"].targets)) == {0, 1}


def test_brighter_without_intensities_above_1_is_not_track_b(tmp_path):
    write(tmp_path / "train" / "eng.csv", ["id,text,anger,joy", "1,so happy,0,1", "2,so angry,1,0"])
    with pytest.raises(DataFormatError, match="it is not track B"):
        read_source(SourceConfig(kind="brighter", path=str(tmp_path)), task="intensity")


def table(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_text(content, encoding="utf-8")
    return path


def read_scores(path, **keys):
    return read_source(SourceConfig(kind="table", path=str(path), **keys), task="intensity")


def test_a_table_of_intensities_has_unknown_blanks(tmp_path):
    path = table(tmp_path, "id,text,joy,fear\na,good news,5,1\nb,bad news,,4.5\n")
    raw = read_scores(path, intensity_columns="joy, fear", scale="1:5")
    split = raw.splits["all"]
    assert (raw.labels, raw.scale, split.ids) == (("joy", "fear"), Scale(1, 5), ["a", "b"])
    assert split.known.tolist() == [[True, True], [False, True]]
    assert split.targets.ravel().tolist() == pytest.approx([1.0, 0.0, 0.0, 0.875])
    assert any("1 empty cells are unknown" in note for note in raw.notes)


@pytest.mark.parametrize(
    ("keys", "kind", "message"),
    [
        ({"scale": "0:3"}, ConfigError, "intensity_columns does not name.*Columns of numbers are: joy, fear"),
        ({"intensity_columns": "joy,fear"}, ConfigError, "say --data.scale 0:3:1 if those are its ends"),
        ({"intensity_columns": "joy,trust", "scale": "0:3"}, DataFormatError, "has no column trust"),
        ({"intensity_columns": "joy", "scale": "0:2"}, DataFormatError, "is not on the scale 0 to 2"),
        ({"intensity_columns": "joy", "scale": "0:3:1.5"}, DataFormatError, "scale 0 to 3 in steps of 1.5"),
        ({"intensity_columns": "words", "scale": "0:3"}, DataFormatError, "'many' is no number"),
        ({"intensity_columns": "joy", "scale": "0:3", "text_column": "body"}, DataFormatError, "no column 'body'"),
    ],
)  # fmt: skip
def test_what_is_not_said_or_not_on_the_scale_is_refused(tmp_path, keys, kind, message):
    path = table(tmp_path, "text,joy,fear,words\na,3,0,many\nb,1,2,few\n")
    with pytest.raises(kind) as error:
        read_scores(path, **keys)
    assert re.search(message, str(error.value))


def test_a_table_without_one_column_of_texts_asks_for_it(tmp_path):
    path = table(tmp_path, "text,sentence,joy\na,b,3\n")
    with pytest.raises(DataFormatError, match="several columns may be the text"):
        read_scores(path, intensity_columns="joy", scale="0:3")
    assert read_scores(path, intensity_columns="joy", scale="0:3", text_column="sentence").splits["all"].texts == ["b"]


def test_sources_of_the_other_task_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="source goemotions has labels alone"):
        read_source(SourceConfig(kind="goemotions"), task="intensity")
    with pytest.raises(ConfigError, match="source emoint has intensities alone"):
        read_source(SourceConfig(kind="emoint", path=str(tmp_path)))
    assert not set(INTENSITY_READERS) - set(READERS) - {"emoint", "semeval2018_ei"}


def test_a_tweet_in_several_files_is_one_row_of_training_and_copies_are_averaged(tmp_path):
    for label, value in (("anger", 0.0), ("joy", 0.25)):
        rows = [f"{n}\tsentence {n}\t{label}\t{n / 40:.3f}" for n in range(40)]
        write(tmp_path / f"{label}-ratings-0to1.train.txt", [*rows, f"99\tthe same tweet\t{label}\t{value}"])
        write(tmp_path / f"{label}-ratings-0to1.dev.gold.txt", [f"1{n}\tother {n}\t{label}\t0.{n}" for n in range(9)])
    with (tmp_path / "anger-ratings-0to1.train.txt").open("a", encoding="utf-8") as stream:
        stream.write("100\tthe same tweet\tanger\t1.0\n")
    data = load_data(DataConfig(task="intensity", source="emoint", path=str(tmp_path)))
    assert (data.labels.names, data.scale, len(data.train)) == (("anger", "joy"), Scale(0, 1), 41)
    place = data.train.texts.index("the same tweet")
    assert data.train.targets[place].tolist() == pytest.approx([0.5, 0.25])  # 0 and 1 are no votes for yes and no
    assert data.train.known.all()
    assert data.dev.known.sum(axis=0).tolist() == [9, 9]
    assert data.report.support["train"] == {"anger": 41, "joy": 41}
    lines = overview(data)
    assert any(line.startswith("Intensities on the scale 0 to 1") for line in lines)


def test_sources_on_several_scales_do_not_go_together(tmp_path):
    write_emoint(tmp_path / "e", counts=(20, 10, 10))
    write_brighter(tmp_path / "b", counts=(20, 10, 10))
    sources = [
        SourceConfig(kind="emoint", path=str(tmp_path / "e")), SourceConfig(kind="brighter", path=str(tmp_path / "b")),
    ]  # fmt: skip
    with pytest.raises(DataFormatError, match="several scales"):
        load_data(DataConfig(task="intensity", sources=sources))


def test_intensities_are_not_brought_together_under_one_name(tmp_path):
    write_brighter(tmp_path, counts=(20, 10, 10))
    with pytest.raises(ConfigError, match="cannot bring intensities together"):
        load_data(DataConfig(task="intensity", source="brighter", path=str(tmp_path), rename="fear=anger"))


def test_a_table_of_intensities_has_the_splits_and_columns_of_a_table_of_labels(tmp_path):
    rows = [
        f"text {n},{n % 5},{('train', 'validation', 'test')[n % 3]},{('en', 'deu')[n % 2]},w{n % 4}" for n in range(12)
    ]
    path = table(tmp_path, "\n".join(["text,joy,split,lang,writer", *rows, ""]))
    keys = {"intensity_columns": "joy", "scale": "0:4"}
    raw = read_scores(path, **keys, language_column="lang", group_column="writer")
    assert {name: split.texts for name, split in raw.splits.items()} == {
        name: [f"text {n}" for n in range(place, 12, 3)] for place, name in enumerate(("train", "dev", "test"))
    }
    assert raw.splits["dev"].languages == ["de", "en", "de", "en"]
    assert raw.splits["dev"].groups == ["w1", "w0", "w3", "w2"]
    assert raw.splits["dev"].targets.ravel().tolist() == [0.25, 1.0, 0.5, 0.0]
    assert "splits are those of the column 'split'" in raw.notes
    assert list(read_scores(path, **keys, split_column="none").splits) == ["all"]
    named = path.rename(tmp_path / "training_data.csv")
    assert {name: len(split) for name, split in read_scores(named, **keys).splits.items()} == {
        "train": 4, "dev": 4, "test": 4,
    }  # fmt: skip
    path = named.rename(path)
    with pytest.raises(DataFormatError, match="column 'writer' holds w0, w1, w2, w3; expected train, dev and test"):
        read_scores(path, **keys, split_column="writer")
    with pytest.raises(DataFormatError, match="no column 'part', which data.split_column names"):
        read_scores(path, **keys, split_column="part")


@pytest.mark.parametrize(
    "keys",
    [
        {"label_column": "joy"},
        {"dialogue_column": "d"},
        {"context_column": "d"},
        {"annotated": "all"},
        {"ids_start": 0},
        {"blanks": "negative"},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_keys_of_labels_are_refused_with_intensities(tmp_path, keys):
    path = table(tmp_path, "text,joy,d\na,3,x\nb,1,x\n")
    with pytest.raises(ConfigError, match=f"data.{next(iter(keys))} is made for labels, and data.task is intensity"):
        read_scores(path, intensity_columns="joy", scale="0:3", **keys)


def test_keys_that_a_source_has_no_use_for_are_refused(tmp_path):
    path = table(tmp_path, "text,joy,d\na,1,x\nb,0,x\n")
    with pytest.raises(ConfigError, match="data.scale is made for intensities, and data.task is labels. Leave it out"):
        read_source(SourceConfig(kind="table", path=str(path), label_column="joy", scale="0:1"))
    with pytest.raises(ConfigError, match="data.group_column is made for tables, and the source is sample. Leave it"):
        read_source(SourceConfig(kind="sample", group_column="writer"))


def test_the_language_of_ei_goes_by_every_code_of_it(tmp_path):
    for language in ("Ar", "Es"):
        write(tmp_path / f"EI-oc-{language}-joy-train.txt", [HEADERS["oc"], f"1\t{language}\tjoy\t1: low amount"])
    for said in ("es", "spa", "Es"):
        raw = read_source(SourceConfig(kind="semeval2018_ei", path=str(tmp_path), language=said), task="intensity")
        assert (raw.splits["train"].texts, raw.language) == (["Es"], "es")
    with pytest.raises(DataFormatError, match="has no file in the language en.*There are: Ar, Es"):
        read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path), language="en"))
    with pytest.raises(ConfigError, match="data.language: 'Spanish' is no code"):
        read_semeval_ei(SourceConfig(kind="semeval2018_ei", path=str(tmp_path), language="Spanish"))
