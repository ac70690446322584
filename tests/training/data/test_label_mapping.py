"""Labels under other names: renamed, dropped, grouped; what is known of them afterwards."""

import numpy as np
import pytest

from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from shared.labels import GOEMOTIONS
from training.config.data import DataConfig, LabelKeys, SourceConfig
from training.data.label_mapping import map_labels, read_groups
from training.data.load import load_data
from training.data.sources.base import RawCorpus, RawSplit

LABELS = ("happiness", "joy", "fury", "others")
TARGETS = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=np.float32)


def corpus(known=None, labels=LABELS):
    split = RawSplit([f"text {n}" for n in range(4)], TARGETS, list("abcd"), known=known)
    return RawCorpus("table", "x.csv", labels, {"all": split}, "mine", strict=True)


def test_renamed_labels_that_meet_are_one():
    mapped = map_labels(corpus(), LabelKeys(rename="happiness=joy, FURY=anger"))
    assert mapped.labels == ("joy", "anger", "others")
    assert mapped.splits["all"].targets.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert "labels are mapped: happiness -> joy; fury -> anger" in mapped.notes


def test_dropped_labels_are_gone_and_their_rows_stay():
    mapped = map_labels(corpus(), LabelKeys(drop="others"))
    assert mapped.labels == ("happiness", "joy", "fury")
    assert mapped.splits["all"].targets[2].tolist() == [0, 0, 0]
    assert "labels left out by data.drop: others" in mapped.notes


def test_a_merged_label_is_unknown_where_a_part_is_and_none_says_yes():
    known = np.ones((4, 4), dtype=bool)
    known[0, 1] = known[2, 1] = False
    mapped = map_labels(corpus(known), LabelKeys(rename="happiness=joy"))
    assert mapped.splits["all"].known[:, 0].tolist() == [True, True, False, True]
    assert mapped.splits["all"].targets[:, 0].tolist() == [1, 1, 0, 0]


def test_a_taxonomy_groups_labels_and_names_what_it_lacks():
    mapped = map_labels(corpus(labels=("amusement", "joy", "annoyance", "others")), LabelKeys(taxonomy="ekman"))
    assert mapped.labels == ("joy", "anger")
    assert mapped.splits["all"].targets.tolist() == [[1, 0], [1, 1], [0, 0], [0, 0]]
    assert "dropped, as 'ekman' has no group for them: others" in mapped.notes


def test_own_groups_come_from_a_yaml_file(tmp_path):
    path = tmp_path / "groups.yaml"
    path.write_text("good: [happiness, joy]\nbad: [fury]\n")
    assert map_labels(corpus(), LabelKeys(taxonomy=str(path))).labels == ("good", "bad")
    path.write_text("good: [joy]\nbad: [joy]\n")
    with pytest.raises(DataFormatError, match="puts these labels in several groups: joy"):
        read_groups(str(path))
    path.write_text("good: joy\n")
    with pytest.raises(DataFormatError, match="must map each group to a list of labels"):
        read_groups(str(path))
    path.write_text("good: [joy\n")
    with pytest.raises(DataFormatError, match="is not YAML"):
        read_groups(str(path))
    with pytest.raises(DataNotFoundError, match=r"the taxonomy not found: .* Give one of goemotions, ekman, sentiment"):
        read_groups("plutchik")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (LabelKeys(rename="hapiness=joy"), r"data.rename names 'hapiness'.* Did you mean 'happiness'\?"),
        (LabelKeys(drop="envy"), r"data.drop names 'envy'.* Its labels are: happiness, joy, fury, others"),
        (LabelKeys(rename="fury=anger, Fury=joy"), "names a label twice: fury=anger, then Fury=joy"),
        (LabelKeys(rename="joy"), "data.rename holds 'joy'; expected pairs such as"),
        (LabelKeys(drop="happiness,joy,fury,others"), "no label of table x.csv is left"),
    ],
)
def test_what_cannot_be_mapped_is_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        map_labels(corpus(), keys)


def test_corpora_with_other_names_train_together(tmp_path):
    (tmp_path / "go").mkdir()
    for name in ("train", "dev"):
        (tmp_path / f"go/{name}.tsv").write_text(f"well {name}\t17\tx\n")
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"text {n},{['happiness', 'fury'][n % 2]}\n" for n in range(40)))
    table = SourceConfig("table", str(path), rename="happiness=joy, fury=anger")
    splits = load_data(DataConfig(sources=[SourceConfig("goemotions", str(tmp_path / "go")), table]))
    assert splits.labels.names == GOEMOTIONS
    rows = np.array(splits.train.source) == "table"
    assert {GOEMOTIONS[c] for c in np.flatnonzero(splits.train.known[rows].any(axis=0))} == {"joy", "anger"}


def test_a_text_with_one_label_goes_with_its_majority_and_ties_are_dropped(tmp_path):
    path = tmp_path / "rows.csv"
    twice = ["tied,joy", "tied,anger", "clear,joy", "clear,joy", "clear,anger", "same,fear", "same,fear"]
    rows = [f"text {n},{['joy', 'anger', 'fear'][n % 3]}" for n in range(60)]
    path.write_text("\n".join(["text,label", *twice, *rows]) + "\n")
    splits = load_data(DataConfig(source="table", path=str(path)), single_label=True)
    everything = [*splits.train.texts, *splits.dev.texts, *splits.test.texts]
    assert "tied" not in everything
    targets = np.concatenate([splits.train.targets, splits.dev.targets, splits.test.targets])
    assert (targets.sum(axis=1) == 1).all()
    assert splits.labels.names[int(targets[everything.index("clear")].argmax())] == "joy"
    counts = splits.report.counts[0]
    assert (counts.read - counts.kept, counts.duplicates, counts.conflicts, counts.ties) == (5, 4, 2, 1)
    assert "1 texts dropped whose copies have different labels, none the most often" in counts.line()
    both = load_data(DataConfig(source="table", path=str(path)))
    assert "tied" in [*both.train.texts, *both.dev.texts, *both.test.texts]
