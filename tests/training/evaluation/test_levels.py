"""Groups of labels: decided as the service decides them, scored as scikit-learn scores them."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import f1_score

from shared.calibration import sigmoid
from shared.errors import ConfigError
from shared.labels import GOEMOTIONS, TAXONOMIES, LabelSet
from shared.tables import open_table
from tests.serving.bundles import stand_in_bundle
from training.config.data import SourceConfig
from training.config.evaluate import EvaluateOptions, EvaluationData
from training.evaluation.evaluate_bundle import evaluate_bundle
from training.evaluation.levels import group_rows, levels_of
from training.evaluation.measures import Predictions

EKMAN = TAXONOMIES["ekman"]
ASKED = "joy,love,fear"
THRESHOLDS = np.linspace(0.3, 0.6, 28)


def some_rows(count=300, known=1.0):
    random = np.random.default_rng(0)
    p = sigmoid(random.normal(-1.5, 1.5, (count, 28)))
    mask = random.random(p.shape) < known
    return Predictions((random.random(p.shape) < p) & mask, mask, p, p >= THRESHOLDS)


def test_a_group_is_true_and_decided_where_any_of_its_labels_is():
    rows = some_rows()
    grouped = group_rows(rows, THRESHOLDS, LabelSet(GOEMOTIONS), EKMAN)
    for place, members in enumerate(EKMAN.groups.values()):
        columns = [GOEMOTIONS.index(name) for name in members]
        assert (grouped.truth[:, place] == rows.truth[:, columns].any(axis=1)).all()
        assert (grouped.decisions[:, place] == rows.decisions[:, columns].any(axis=1)).all()
        assert np.isin(grouped.probabilities[:, place], rows.probabilities[:, columns]).all()
    levels = levels_of(rows, THRESHOLDS, GOEMOTIONS, samples=50)
    assert set(levels) == {"ekman", "sentiment"}
    assert levels["ekman"]["macro_f1"] == pytest.approx(f1_score(grouped.truth, grouped.decisions, average="macro"))
    assert levels["ekman"]["intervals"]["macro_f1"][0] < levels["ekman"]["macro_f1"]
    assert levels_of(rows.take(np.arange(5)), THRESHOLDS[:2], ("a", "b"), samples=0) == {}


def test_a_group_is_known_where_all_its_labels_are():
    known = np.ones((2, 28), dtype=bool)
    known[:, GOEMOTIONS.index("annoyance")] = False
    truth = np.zeros((2, 28), dtype=bool)
    truth[0, GOEMOTIONS.index("anger")] = True
    grouped = group_rows(
        Predictions(truth, known, np.zeros((2, 28)), truth), THRESHOLDS, LabelSet(GOEMOTIONS), EKMAN
    )  # fmt: skip
    anger = list(EKMAN.groups).index("anger")
    assert grouped.known[:, anger].tolist() == [False, False]
    assert not grouped.truth[:, anger].any()
    assert grouped.known[:, [g for g in range(7) if g != anger]].all()


def test_a_group_with_a_label_that_no_row_annotates_has_no_precision_and_an_unknown_taxonomy_no_metrics():
    """Anger is decided in all of four rows and true in two: 2 of 4, which without annoyance nobody can say."""
    anger, annoyance = (GOEMOTIONS.index(name) for name in ("anger", "annoyance"))
    known, truth = np.ones((4, 28), dtype=bool), np.zeros((4, 28), dtype=bool)
    truth[:2, anger] = True
    decisions = np.zeros_like(truth)
    decisions[:, anger] = True
    whole = levels_of(Predictions(truth, known, decisions * 0.9, decisions), THRESHOLDS, GOEMOTIONS, samples=0)
    assert whole["ekman"]["per_label"]["anger"]["precision"] == 0.5
    known[:, annoyance] = False
    part = levels_of(Predictions(truth, known, decisions * 0.9, decisions), THRESHOLDS, GOEMOTIONS, samples=0)
    assert part["ekman"]["per_label"]["anger"]["precision"] is None
    assert part["ekman"]["not_annotated"] == ["anger"]
    known[:] = False
    known[:, anger] = True
    assert levels_of(Predictions(truth, known, decisions * 0.9, decisions), THRESHOLDS, GOEMOTIONS, samples=9) == {}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("grouped") / "run" / "bundle")


def write_rows(path, labels, count=60):
    rows = [{"text": f"{label} {i}", "labels": [label]} for i in range(count) for label in labels]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def love_for_joy(texts):
    """Logits of a model that says love where the text says joy, and else the label that the text names."""
    logits = np.full((len(texts), 28), -6.0, dtype=np.float32)
    for row, text in enumerate(texts):
        name = text.split()[0]
        logits[row, GOEMOTIONS.index("love" if name == "joy" else name)] = 6.0
    return logits


def test_rows_annotated_with_groups_are_scored_at_their_level_and_the_other_reading_is_said(bundle, tmp_path):
    path = write_rows(tmp_path / "ekman.jsonl", ("joy", "anger", "fear"))
    data = EvaluationData(source="table", path=path, split="all", annotated="all")
    plain = evaluate_bundle(bundle, EvaluateOptions(data=data, bootstrap_samples=20), logits=love_for_joy)
    assert plain["per_label"]["joy"]["f1"] == 0
    data = EvaluationData(source="table", path=path, split="all")
    said = evaluate_bundle(bundle, EvaluateOptions(data=data, bootstrap_samples=20), logits=love_for_joy)
    assert any("say --level ekman" in note for note in said["notes"])
    options = EvaluateOptions(data=data, level="ekman", bootstrap_samples=20, output=str(tmp_path / "out"))
    grouped = evaluate_bundle(bundle, options, logits=love_for_joy)
    assert grouped["labels_scored"] == ["anger", "fear", "joy"]
    assert grouped["macro_f1"] == 1
    assert "joy" in (tmp_path / "out/report.html").read_text()


def test_a_bundle_of_other_labels_has_no_such_level(tmp_path):
    other = stand_in_bundle(tmp_path / "b", labels=("joy", "fear"))
    data = EvaluationData(source="table", path=write_rows(tmp_path / "t.jsonl", ("joy", "fear")), split="all")
    with pytest.raises(ConfigError, match="level is ekman, and the bundle's labels .* are not the 28"):
        evaluate_bundle(other, EvaluateOptions(data=data, level="ekman"))


def test_several_corpora_get_metrics_of_their_own_and_a_file_of_the_rows(bundle, tmp_path):
    sources = [
        SourceConfig(kind="table", path=write_rows(tmp_path / f"{name}.jsonl", (name, "fear"), 30), annotated=ASKED)
        for name in ("joy", "love")
    ]  # fmt: skip
    data = EvaluationData(sources=sources, split="all")
    options = EvaluateOptions(
        data=data, each_source=True, bootstrap_samples=0, output=str(tmp_path / "out"), show_texts=False
    )  # fmt: skip
    found = evaluate_bundle(bundle, options, logits=love_for_joy)
    assert [part["title"] for part in found["parts"]] == ["all", "all, 1. table", "all, 2. table"]
    assert found["parts"][1]["per_label"]["love"]["f1"] == 0
    assert found["parts"][2]["per_label"]["love"]["f1"] == 1
    assert found["macro_f1"] == found["parts"][0]["macro_f1"]
    columns = open_table(tmp_path / "out/rows.csv").read_all().columns
    assert len(columns["id"]) == sum(part["num_examples"] for part in found["parts"])
    assert "text" not in columns
    first = {name: values[0] for name, values in columns.items()}
    assert first["decided"] == "love"
    assert first["true"] == "joy"
    assert "anger" in first["unknown"].split(";")
    assert float(first["p_love"]) == pytest.approx(sigmoid(6.0 / 1.3), abs=1e-6)
    expected = -np.log([1 - float(first["p_love"]), float(first["p_joy"]), 1 - float(first["p_fear"])]).mean()
    assert float(first["loss"]) == pytest.approx(expected, abs=1e-4)
    assert not re.search(r"(?:joy|love|fear) \d+<", (tmp_path / "out/report.html").read_text())
    with pytest.raises(ConfigError, match="each_source is true, and data.sources does not list several"):
        evaluate_bundle(bundle, EvaluateOptions(data=EvaluationData(path="x", source="table"), each_source=True))
