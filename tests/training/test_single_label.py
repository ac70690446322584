"""Tasks with one label a text: softmax from the loss to the bundle."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from shared.bundle import Bundle
from shared.errors import DataFormatError
from tests.training.rows import CUES, LABELS
from training.run import main


@pytest.fixture
def table(tmp_path):
    """One cue and one label a text."""
    random = np.random.default_rng(0)
    rows = {}
    for number in range(150):
        label = number % 3
        words = [*random.choice(["i", "you", "we", "so", "very", "today", "home", "work"], size=5), CUES[label]]
        rows[" ".join(random.permutation(words))] = LABELS[label]
    path = tmp_path / "single.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in rows.items()), encoding="utf-8")
    return path


def arguments(tiny_model, table, tmp_path, *further: str) -> list[str]:
    options = {
        "model.name": tiny_model, "data.source": "table", "data.path": table, "data.max_length": 16,
        "data.cache_dir": "none", "run.output_dir": tmp_path / "runs", "run.threads": 1, "optim.epochs": 4,
        "optim.lr": 1e-2, "optim.batch_size": 24, "optim.precision": "fp32", "eval.bootstrap_samples": 0,
        "loss.name": "cross_entropy",
    }  # fmt: skip
    return [*(f"--{key}={value}" for key, value in options.items()), *further]


def test_the_bundle_of_a_softmax_run_gives_shares_and_knows_its_task(tiny_model, table, tmp_path):
    main(arguments(tiny_model, table, tmp_path))
    bundle = Bundle.read(tmp_path / "runs" / "default" / "bundle")
    assert bundle.manifest.task == "single_label"
    assert bundle.calibration.activation == "softmax"
    config = json.loads((bundle.path / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "single_label_classification"
    reference = bundle.reference()
    probabilities = bundle.calibration.apply(reference.logits)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == reference.labels.argmax(axis=1)).mean() > 0.9
    assert bundle.metrics()["test"]["macro_f1"] > 0.8


def test_the_most_probable_label_is_the_decision_and_accuracy_chooses_the_weights(tiny_model, table, tmp_path, capfd):
    main(
        arguments(
            tiny_model, table, tmp_path, "--optim.epochs=2", "--eval.best_by=accuracy", "--eval.stop_metrics=[accuracy]"
        )
    )
    assert re.search(r"dev accuracy \d\.\d{4} \(best\)", capfd.readouterr().err)
    bundle = Bundle.read(tmp_path / "runs" / "default" / "bundle")
    assert bundle.policies.default == "argmax"
    reference, metrics = bundle.reference(), bundle.metrics()["dev"]
    truth, found = reference.labels.argmax(axis=1), reference.logits.argmax(axis=1)
    assert (reference.split, metrics["policy"]) == ("dev", "argmax")
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, found))
    assert metrics["weighted_f1"] == pytest.approx(f1_score(truth, found, average="weighted", zero_division=0))
    assert metrics["macro_f1"] == pytest.approx(f1_score(truth, found, average="macro", zero_division=0))
    assert sum(sum(row.values()) for row in metrics["confusion_matrix"].values()) == len(truth)
    assert metrics["policies"]["argmax"]["accuracy"] == metrics["accuracy"]
    page = (bundle.path / "report.html").read_text(encoding="utf-8")
    assert "<h3>Confusion matrix</h3>" in page
    assert re.search(r"accuracy</span><b>" + f"{metrics['accuracy']:.4f}", page)
    card = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert "exactly one label holds" in card
    assert "softmax(logit / temperature); the most probable label is decided. Texts" in card
    header, _, row = re.search(r"\| split .*\n.*\n.*", card)[0].splitlines()
    tables = re.findall(r"(?:^\|.*\n)+", card.split("## Metrics")[1], re.MULTILINE)
    assert [len({line.count("|") for line in each.splitlines()}) for each in tables] == [1] * len(tables)
    assert header.split("|")[6:8] == [" accuracy ", " weighted F1 "]
    assert f"{metrics['accuracy']:.4f}" in row


def test_rows_with_several_labels_are_refused(tiny_model, table, tmp_path):
    with table.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"text": f"happy and afraid {n}", "label": "joy,fear"}) + "\n" for n in range(20))
    with pytest.raises(
        DataFormatError, match=r"exactly one label; \d+ of \d+ rows of train have another number, the first 2"
    ):
        main(arguments(tiny_model, table, tmp_path, "--data.delimiter=,"))
