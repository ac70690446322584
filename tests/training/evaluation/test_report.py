"""The report and the model card: complete, self-contained and readable by machines where they should be."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from shared.bundle import Bundle
from shared.calibration import Calibration
from shared.thresholds import Policies
from training.evaluation import plots
from training.evaluation.measures import Predictions
from training.evaluation.model_card import escaped
from training.evaluation.report import number, render_report
from training.evaluation.scoring import SplitPredictions, score
from training.evaluation.sections import Scored, confusions


@pytest.fixture(scope="module")
def page(finished):
    return (finished / "bundle/report.html").read_text()


def test_the_report_asks_nothing_of_the_network(page):
    assert re.findall(r'(?:src|href)\s*=\s*["\'](?!#)', page) == []
    assert "@import" not in page


def test_the_report_is_well_formed_and_suits_the_dark(page):
    class Balanced(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "br", "use", "path", "link"):
                self.open.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("meta", "br", "use", "path", "link"):
                assert self.open.pop() == tag

    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page


def test_the_report_shows_brier_and_nll_beside_calibration_error_and_the_prior_as_a_row(page):
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Brier NLL ECE pooled ECE classwise" in text
    assert "baseline: train prior" in text
    assert "were fitted on this split" in text


def test_the_report_has_each_label_with_threshold_interval_and_training_rows(page, finished):
    policies = Bundle.read(finished / "bundle").policies
    for label, threshold in zip(policies.labels, policies.get(), strict=True):
        row = re.search(rf"<tr><td>{label}</td>.*?</tr>", page, re.DOTALL)
        assert number(float(threshold)) in row[0]
        assert " to " in row[0]


def test_names_from_the_data_are_escaped():
    split = SplitPredictions("dev", np.array([[True]]), np.array([[True]]), np.array([[1.0]], dtype=np.float32))
    policies, calibration = Policies(("<i>",), {"f1": np.array([0.5])}, "dev"), Calibration.identity(1)
    page = render_report("<u>", "s", [Scored.of(split, score(split, calibration, policies), calibration, policies)])
    assert "<i>" not in page
    assert "<u>" not in page
    assert "&lt;i&gt;" in page


def test_confusions_are_pairs_of_a_miss_and_a_false_alarm_in_one_row():
    truth = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)
    decisions = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)
    rows = Predictions(truth, np.ones_like(truth), np.zeros(truth.shape), decisions)
    assert confusions(rows, ("a", "b", "c")) == [("a", "b", 2), ("b", "c", 1)]


def test_figures_are_svg_that_take_the_colour_of_the_page():
    truth = np.array([[True], [False], [True]])
    drawings = [
        plots.reliability(truth, np.ones_like(truth), {"calibrated": np.array([[0.9], [0.2], [0.6]])}),
        plots.curves([{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4, "eval_loss": 0.6, "eval_macro_f1": 0.3}]),
        plots.label_bars({"joy": 0.5, "fear": 0.2}, {"joy": [0.4, 0.6]}),
    ]
    for drawing in drawings:
        assert ET.fromstring(drawing).tag.endswith("svg")
        assert "currentColor" in drawing
        assert "#010203" not in drawing
    assert drawings[2].index("fear") < drawings[2].index("joy")


def test_equal_figures_are_drawn_equal():
    scores = {"joy": 0.5}
    assert plots.label_bars(scores, {}) == plots.label_bars(scores, {})


def test_the_card_begins_with_metadata_that_hubs_read(finished):
    card = (finished / "bundle/README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    metrics = Bundle.read(finished / "bundle").metrics()
    assert "pipeline_tag" not in front  # of mean pooling: the pipeline of transformers would put a random head on it
    results = front["model-index"][0]["results"]
    assert [result["dataset"]["split"] for result in results] == ["dev", "test"]
    values = {value["type"]: value["value"] for value in results[1]["metrics"]}
    assert values["macro_f1"] == pytest.approx(metrics["test"]["macro_f1"], abs=1e-4)
    assert "train prior" in card
    assert "lora" in card


def test_the_card_has_intervals_labels_slices_and_what_it_is_for(finished):
    card = (finished / "bundle/README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    metrics = Bundle.read(finished / "bundle").metrics()["test"]
    first = front["model-index"][0]["results"][1]["metrics"][0]
    assert first["args"]["interval_95"] == pytest.approx(metrics["intervals"]["macro_f1"], abs=1e-4)
    for heading in ("## Intended use", "## Fairness", "## Limits", "## Labels"):
        assert heading in card
    for name in metrics["per_label"]:
        assert f"| {escaped(name)} |" in card


def test_names_in_a_card_are_shown_as_they_are():
    assert escaped("a|b") == r"a\|b"
    assert escaped("[x](y)\n<i>") == r"\[x\]\(y\) \<i\>"
