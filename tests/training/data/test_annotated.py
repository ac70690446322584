"""What a source annotates: from its columns, from what occurs (with a note), or as the user says."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from shared.errors import ConfigError
from shared.labels import LabelSet
from shared.metrics import brier, evaluate
from training.config.data import DataConfig
from training.data.load import load_eval_split

LABELS = LabelSet(("joy", "anger", "fear", "neutral"))


def load(path, **options):
    return load_eval_split(DataConfig(source="table", path=str(path), **options), None, LABELS)


@pytest.fixture
def neutral(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"text": "row {n}", "labels": ["neutral"]}}\n' for n in range(20)))
    return path


def test_a_file_without_official_splits_is_taken_whole(neutral):
    found = load(neutral)
    assert (found.split, len(found.rows), found.read) == ("all", 20, 20)


def test_labels_that_do_not_occur_are_unknown_with_a_note_until_the_user_says_so(neutral):
    found = load(neutral)
    assert found.rows.known.any(axis=0).tolist() == [False, False, False, True]
    assert any("it is not known which labels were asked about" in n and "data.annotated all" in n for n in found.notes)
    said = load(neutral, annotated="all")
    assert said.rows.known.all()
    assert not any("not known" in note for note in said.notes)
    some = load(neutral, annotated="Neutral, joy")
    assert some.rows.known.any(axis=0).tolist() == [True, False, False, True]
    with pytest.raises(ConfigError, match="data.annotated names 'glee', which is not in the label set"):
        load(neutral, annotated="glee")


def test_false_positives_count_where_all_labels_are_annotated(neutral):
    rows = load(neutral, annotated="all").rows
    decisions = np.zeros((20, 4), dtype=bool)
    decisions[:, 3] = True
    decisions[:5, 0] = True
    probabilities = np.where(decisions, 0.9, 0.1)
    metrics = evaluate(rows.hard_targets, probabilities, decisions, LABELS.names, rows.known)
    truth = rows.targets.astype(int)
    assert metrics["micro_f1"] == pytest.approx(f1_score(truth, decisions, average="micro"))
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, decisions, average="macro", zero_division=0))
    assert metrics["micro_f1"] < 1
    assert metrics["brier"] == pytest.approx(float(((probabilities - truth) ** 2).mean()))
    guessed = load(neutral).rows
    alone = evaluate(guessed.hard_targets, probabilities, decisions, LABELS.names, guessed.known)
    assert alone["micro_f1"] == 1.0
    assert alone["not_annotated"] == ["joy", "anger", "fear"]
    assert brier(guessed.targets, probabilities, guessed.known) == pytest.approx(0.01)


def test_two_columns_are_scored_alone(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,joy,anger\na b,1,0\nc d,0,1\n")
    rows = load(path).rows
    decisions = np.array([[1, 0, 1, 0], [0, 0, 1, 1]], dtype=bool)
    metrics = evaluate(rows.hard_targets, decisions * 0.8 + 0.1, decisions, LABELS.names, rows.known)
    truth, made = np.array([[1, 0], [0, 1]]), decisions[:, :2]
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, made, average="macro", zero_division=0)) == 0.5
    assert metrics["micro_f1"] == pytest.approx(f1_score(truth, made, average="micro"))
    assert metrics["samples_f1"] == pytest.approx(f1_score(truth, made, average="samples", zero_division=0))
    assert metrics["not_annotated"] == ["fear", "neutral"]
    empty = dict.fromkeys(("precision", "recall", "f1", "support", "ap"))
    assert metrics["per_label"]["fear"] == empty == metrics["per_label"]["neutral"]
    assert metrics["per_label"]["joy"]["f1"] == 1.0


def test_a_blank_cell_counts_in_no_metric(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,joy,anger\na b,1,\nc d,,1\ne f,0,0\n")
    rows = load(path).rows
    decisions = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], dtype=bool)
    metrics = evaluate(rows.hard_targets, decisions * 0.8 + 0.1, decisions, LABELS.names, rows.known)
    joy, anger = metrics["per_label"]["joy"], metrics["per_label"]["anger"]
    assert (joy["f1"], joy["support"]) == (1.0, 1)
    assert (anger["f1"], anger["support"], anger["precision"]) == (0.0, 1, 0.0)
