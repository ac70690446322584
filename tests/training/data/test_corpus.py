import json
from dataclasses import replace

import numpy as np
import pytest

from shared.errors import ConfigError, DataFormatError, DataNotFoundError, EmptyDataError
from shared.labels import GOEMOTIONS, LabelSet
from training.config.data import DataConfig, SourceConfig
from training.data.corpus import Corpus
from training.data.keys import text_key
from training.data.load import load_data, load_eval_split


def write_goemotions(folder, **splits):
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.tsv").write_text(
            "".join(f"{text}\t{ids}\t{name}{i}\n" for i, (text, ids) in enumerate(rows))
        )
    return DataConfig(source="goemotions", path=str(folder))


@pytest.fixture
def official(tmp_path):
    train = [
        ("I love it", "18"),
        ("I love  it", "17"),
        ("so sad", "25"),
        ("in dev too", "0"),
        (" ", "3"),
        ("in test too", "1"),
        ("ok", "27"),
    ]
    dev = [("in dev too", "0"), ("in dev too", "0"), ("", "2"), ("well", "27")]
    return write_goemotions(tmp_path / "go", train=train, dev=dev, test=[("in test too", "1"), ("well", "27")])


@pytest.fixture
def table(tmp_path):
    rows = [{"text": f"row {i} of the table", "label": ["joy", "fear", "anger"][i % 3]} for i in range(60)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return DataConfig(source="table", path=str(path))


def test_train_loses_duplicates_empty_texts_and_leaks(official):
    splits = load_data(official)
    assert splits.train.texts == ["I love it", "so sad", "ok"]
    assert splits.labels.names == GOEMOTIONS
    assert splits.labels.names_of(splits.train.targets[:1] > 0) == [["joy", "love"]]
    counts = splits.report.counts[0]
    assert (counts.read, counts.empty, counts.duplicates, counts.conflicts, counts.kept) == (7, 1, 1, 1, 3)
    assert counts.leaked == {"test": 1, "dev": 1}


def test_official_held_out_splits_keep_their_duplicates(official):
    splits = load_data(official)
    assert splits.dev.texts == ["in dev too", "in dev too", "well"]
    assert splits.report.counts[1].duplicates == 1
    assert splits.test is not None
    assert splits.test.ids == ["test0", "test1"]


def test_report_tells_what_was_done(official):
    lines = "\n".join(load_data(official).report.lines())
    assert (
        "goemotions train: 3 rows of 7; 1 empty dropped; 1 duplicates dropped (1 texts with differing labels)" in lines
    )
    assert "1 dropped because they are in test too; 1 dropped because they are in dev too" in lines
    assert "1 texts are in dev and in test" in lines
    assert "CC BY 4.0" in lines


def test_description_is_plain_json(official):
    described = json.loads(json.dumps(load_data(official).described()))
    assert described["rows"] == {"train": 3, "dev": 3, "test": 2}
    assert described["support"]["train"]["love"] == 1


def test_rare_labels_are_named(official):
    note = next(note for note in load_data(replace(official, min_label_support=1)).report.notes if "fewer" in note)
    assert "grief 0" in note
    assert "love" not in note


def test_loading_prints_nothing(official, capsys):
    load_data(official)
    assert capsys.readouterr() == ("", "")


def test_without_test_file_training_works_and_test_is_refused(tmp_path):
    config = write_goemotions(tmp_path / "go", train=[("a", "0"), ("b", "1")], dev=[("c", "2")])
    splits = load_data(config)
    assert splits.test is None
    assert any("test.tsv is not in" in note for note in splits.report.notes)
    with pytest.raises(
        DataNotFoundError,
        match=r"there is no test split in goemotions .*: test.tsv is not in .* there are: train, dev\.",
    ):
        load_eval_split(config, "test", splits.labels)


def test_without_dev_file_dev_is_taken_from_train(tmp_path):
    config = write_goemotions(tmp_path / "go", train=[(f"text {i}", str(i % 2)) for i in range(50)])
    splits = load_data(config)
    assert (len(splits.train), len(splits.dev), splits.test) == (45, 5, None)


def test_without_train_file_only_evaluation_works(tmp_path):
    config = write_goemotions(tmp_path / "go", test=[("a", "0")])
    assert load_eval_split(config, "test", LabelSet(GOEMOTIONS)).rows.texts == ["a"]
    with pytest.raises(DataNotFoundError, match="there is no train split in goemotions"):
        load_data(config)


def test_corpus_without_official_splits_is_split_80_10_10_by_text(table):
    splits = load_data(table)
    assert splits.test is not None
    assert [len(split) for split in (splits.train, splits.dev, splits.test)] == [48, 6, 6]
    assert len({*splits.train.texts, *splits.dev.texts, *splits.test.texts}) == 60
    assert splits.labels.names == ("anger", "fear", "joy")
    assert load_eval_split(table, "test", splits.labels).rows.texts == splits.test.texts


def test_split_all_is_every_row_of_a_table(table):
    assert len(load_eval_split(table, "all", LabelSet(("anger", "fear", "joy"))).rows) == 60


def test_split_all_does_not_join_official_splits(official):
    with pytest.raises(DataNotFoundError, match=r"there is no all split .* there are: train, dev, test\."):
        load_eval_split(official, "all", LabelSet(GOEMOTIONS))


def test_evaluation_puts_labels_in_the_columns_of_the_bundle(official):
    labels = LabelSet(("zeal", "neutral", "joy"))
    corpus = load_eval_split(official, "dev", labels).rows
    assert corpus.targets.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert corpus.known.tolist() == [[False, True, True]] * 3


def test_evaluation_with_no_label_in_common_is_refused(official):
    with pytest.raises(DataFormatError, match=r"has labels that are not in the label set: admiration.* is: zeal;"):
        load_eval_split(official, "dev", LabelSet(("zeal",)))


def test_ids_without_names_are_positions_in_the_bundle_when_the_user_says_so(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("text,label\nso glad,1\nso sad,0\n")
    config, labels = DataConfig(source="table", path=str(path)), LabelSet(("bad", "good"))
    with pytest.raises(
        DataFormatError,
        match=r"holds label ids without names \(0, 1\), and the bundle's labels are bad, good\..* data.ids_of_bundle",
    ):
        load_eval_split(config, "test", labels)
    rows = load_eval_split(config, "test", labels, ids_are_positions=True).rows
    assert rows.targets.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(DataFormatError, match="holds the label ids 0, 1, and the bundle has 1 labels"):
        load_eval_split(config, "test", LabelSet(("good",)), ids_are_positions=True)


def test_labels_of_one_corpus_are_unknown_in_the_rows_of_another(official, table):
    sources = [SourceConfig("goemotions", official.path), SourceConfig("table", table.path, weight=2.0)]
    splits = load_data(DataConfig(sources=sources))
    assert splits.labels.names == GOEMOTIONS
    of_table = np.array([source == "table" for source in splits.train.source])
    assert splits.train.known[~of_table].all()
    names = {GOEMOTIONS[column] for column in np.flatnonzero(splits.train.known[of_table].any(axis=0))}
    assert names == {"joy", "fear", "anger"}
    assert set(splits.train.weights[of_table]) == {2.0}
    assert splits.train.ids[0] == "goemotions:train0"


def test_texts_held_out_by_one_corpus_leave_the_training_rows_of_another(official, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\nin  dev too,joy\nso sad,fear\nnew,fear\n" + "".join(f"t {i},joy\n" for i in range(30)))
    splits = load_data(
        DataConfig(sources=[SourceConfig("goemotions", official.path), SourceConfig("table", str(path))])
    )
    own = [text for text, source in zip(splits.train.texts, splits.train.source, strict=True) if source == "table"]
    assert "in  dev too" not in own
    assert splits.train.texts.count("so sad") + splits.dev.texts.count("so sad") == 1


def test_table_with_a_label_outside_the_set_names_it(official, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\na b,joy\nc d,envy\n")
    with pytest.raises(DataFormatError, match=r"table .* has labels that are not in the label set: envy\."):
        load_data(DataConfig(sources=[SourceConfig("goemotions", official.path), SourceConfig("table", str(path))]))


def test_named_labels_choose_and_order_the_columns(official):
    splits = load_data(replace(official, labels=["sadness", "love"]))
    assert splits.labels.names == ("sadness", "love")
    assert splits.train.targets.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert any("dropped, as the label set has no such label: admiration" in note for note in splits.report.notes)


def test_label_file_is_one_label_a_line(official, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("sadness\nlove\n")
    assert load_data(replace(official, labels_file=str(path))).labels.names == ("sadness", "love")


def test_label_file_with_a_repeated_name_is_refused(official, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("love\nlove\n")
    with pytest.raises(
        DataFormatError, match=r"labels.txt: label names must be non-empty and distinct \(repeated: love\)"
    ):
        load_data(replace(official, labels_file=str(path)))


def test_missing_label_file_is_named(official, tmp_path):
    with pytest.raises(DataNotFoundError, match=r"the label file not found: looked for .*none.txt"):
        load_data(replace(official, labels_file=str(tmp_path / "none.txt")))


def test_labels_given_twice_are_refused(official):
    with pytest.raises(ConfigError, match=r"data.labels and data.labels_file are both given"):
        load_data(replace(official, labels=["joy"], labels_file="x"))


def test_a_label_that_no_corpus_annotates_is_refused_with_the_nearest_name(official):
    with pytest.raises(DataFormatError, match=r"labels that no corpus annotates: saddness. Did you mean 'sadness'\?"):
        load_data(replace(official, labels=["joy", "saddness"]))


def test_label_file_that_disagrees_with_a_table_names_the_labels(table, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("joy\nfear\n")
    with pytest.raises(
        DataFormatError, match=r"has labels that are not in the label set: anger. The label set is: joy, fear;"
    ):
        load_data(replace(table, labels_file=str(path)))


def test_two_labels_that_differ_in_case_alone_are_one_label_with_a_note(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\na b,joy\nc d,Joy\n")
    path = path.rename(tmp_path / "rows.csv")
    found = load_eval_split(DataConfig(source="table", path=str(path)), "all", LabelSet(("joy",)))
    assert found.rows.targets.tolist() == [[1], [1]]
    assert any("Joy, joy are taken as one label" in note for note in found.notes)


def test_corpus_of_empty_texts_is_an_error(tmp_path):
    config = write_goemotions(tmp_path / "go", train=[(" ", "0")], dev=[("a", "0")])
    with pytest.raises(EmptyDataError, match="the train split has no usable row"):
        load_data(config)


def test_corpus_too_small_to_split_is_an_error(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na b,joy\nc d,fear\n")
    with pytest.raises(EmptyDataError, match="has 2 usable rows: too few to hold out"):
        load_data(DataConfig(source="table", path=str(path)))


def test_subset_of_train_is_exact_and_counted(table):
    splits = load_data(replace(table, max_train_rows=12))
    assert len(splits.train) == 12
    assert splits.report.support["train"] == {"anger": 4, "fear": 4, "joy": 4}
    assert splits.report.counts[0].left_out == 36


def test_fingerprint_follows_content_and_nothing_else(official, table, tmp_path):
    same, changed = load_data(official), load_data(official)
    assert same.fingerprint == changed.fingerprint
    assert same.fingerprint != load_data(replace(official, labels=["love", "sadness"])).fingerprint
    (tmp_path / "go" / "dev.tsv").write_text("well!\t27\tdev3\n")
    assert load_data(official).fingerprint != same.fingerprint
    assert load_data(replace(table, seed=1)).fingerprint != load_data(replace(table, seed=2)).fingerprint


def corpus(targets, known=None, **fields):
    targets = np.asarray(targets, dtype=np.float32)
    n = len(targets)
    known = np.ones(targets.shape, dtype=bool) if known is None else np.asarray(known)
    values = {
        "texts": ["t"] * n,
        "ids": [str(i) for i in range(n)],
        "source": ["x"] * n,
        "weights": np.ones(n, np.float32),
    }
    return Corpus(targets=targets, known=known, **{**values, **fields})


def test_an_unknown_label_is_never_positive():
    rows = corpus([[1, 0.5], [0.4, 1]], known=[[True, True], [True, False]])
    assert rows.hard_targets.tolist() == [[True, True], [False, False]]
    assert rows.support(LabelSet(("a", "b"))) == {"a": 1, "b": 1}


def test_taken_rows_may_repeat():
    rows = corpus([[1], [0], [1]]).take([2, 0, 2])
    assert rows.ids == ["2", "0", "2"]
    assert rows.targets.ravel().tolist() == [1, 1, 1]


def test_fingerprint_tells_a_moved_boundary_between_texts():
    first, second = corpus([[1], [1]], texts=["ab", "c"]), corpus([[1], [1]], texts=["a", "bc"])
    assert first.fingerprint != second.fingerprint


def test_what_stays_whole_is_not_copied():
    rows = corpus([[1], [0], [1]])
    assert rows.take([0, 1, 2]) is rows
    assert rows.take([2, 1, 0]).ids == ["2", "1", "0"]
    assert len(rows.take([0, 1])) == 2
    changed = rows.take([0, 1, 2], source=["other"] * 3)
    assert (changed is not rows, changed.source[0]) == (True, "other")


def test_a_key_is_the_normalised_text():
    assert list(map(text_key, ["a clean text", "a  spaced   text", None])) == ["a clean text", "a spaced text", ""]
