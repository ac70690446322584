"""The task intensity from its data to the service: train, seal, export, verify, predict, serve, evaluate."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score

import emotion_classifiers as ec
from emotion_classifiers.adapt import main as adapt
from serving import export, verify
from serving import predict as predict_command
from serving.exporting.intensity_verification import INTENSITY_TOLERANCES, judge_intensities
from serving.http.openapi import document
from serving.settings import Settings
from shared.bundle import Bundle
from shared.errors import BundleFormatError, ConfigError, DataFormatError, EmotionError, InvalidInputError
from shared.modeling.classifier import load_classifier
from tests.intensity_rows import LABELS, arguments, write_brighter, write_emoint
from tests.serving.browser import browsing, installed
from tests.serving.servers import serving
from training.config.evaluate import AuditOptions, CompareOptions, DomainsOptions, DriftOptions, EvaluateOptions
from training.config.parser import parse_options
from training.evaluation.evaluate_bundle import evaluate_bundle
from training.run import main as train

TEXTS = ["we so very happy wonderful today", "i sad home the train angry work", "the bus at home"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_brighter(tmp_path_factory.mktemp("brighter"))


@pytest.fixture(scope="module")
def trained(tiny_model, corpus, tmp_path_factory) -> Path:
    """A bundle of levels 0..3 from a cumulative link, exported in both precisions of a CPU."""
    folder = tmp_path_factory.mktemp("intensity")
    train(arguments(tiny_model, folder, data__path=corpus, loss__name="cumulative_link"))
    bundle = folder / "runs" / "default" / "bundle"
    export.main([str(bundle), "--precision", "fp32", "int8", "--threads", "1"])
    return bundle


def gold_of(corpus, split="test"):
    with (corpus / "track_b" / split / "eng.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [row["text"] for row in rows], np.array([[float(row[name]) for name in LABELS] for row in rows])


def test_the_bundle_knows_its_task_scale_and_cuts_and_has_nothing_of_labels(trained):
    bundle = Bundle.read(trained)
    content = json.loads((trained / "bundle.json").read_text())
    assert (content["schema_version"], content["task"]) == (4, "intensity")
    assert content["scale"] == {"low": 0.0, "high": 3.0, "step": 1.0}
    assert bundle.readout.cuts.shape == (4, 3)
    assert not (trained / "thresholds.json").exists()
    assert not (trained / "calibration.json").exists()
    assert {"intensity.json", "reference.npz"} <= content["files"].keys()
    assert not bundle.policies.decide(np.full(4, 1 - 1e-12)).any()
    reference = bundle.reference()
    assert set(np.unique(np.round(reference.shares * 3))) == {0, 1, 2, 3}
    assert load_classifier(trained).config.num_labels == 4
    assert bundle.metrics()["test"]["pearson"] > 0.6


def test_a_changed_interval_or_scale_is_refused(trained, tmp_path):
    copied = tmp_path / "bundle"
    shutil.copytree(trained, copied)
    content = (copied / "intensity.json").read_text()
    (copied / "intensity.json").write_text(content.replace('"level": 0.9', '"level": 0.5'))
    with pytest.raises(EmotionError, match=r"intensity\.json in .* changed after the bundle was sealed"):
        Bundle.read(copied)
    (copied / "intensity.json").write_text(content)
    manifest = json.loads((copied / "bundle.json").read_text())
    for change, message in (
        ({"scale": {"low": 0, "high": 4, "step": 1}}, "3 cuts a label for 5 levels"),
        ({"scale": None}, "'scale' of the bundle"),
        ({"labels": list(LABELS[::-1])}, "disagree"),
        ({"task": "valence"}, "multi_label or single_label or intensity"),
    ):
        (copied / "bundle.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(BundleFormatError, match=message):
            Bundle.read(copied)


def test_the_sealed_metrics_are_those_of_scipy_and_scikit_learn(trained, corpus):
    texts, gold = gold_of(corpus)
    bundle = Bundle.read(trained)
    encoded = bundle.tokenizer().pad(bundle.tokenizer().encode(texts))
    with torch.no_grad():
        logits = load_classifier(trained)(**{name: torch.from_numpy(array) for name, array in encoded.items()}).logits
    found, levels = bundle.readout.intensities(logits.numpy()), bundle.readout.levels(logits.numpy())
    metrics = bundle.metrics()["test"]
    for place, name in enumerate(LABELS):
        row = metrics["per_label"][name]
        assert row["pearson"] == pytest.approx(pearsonr(gold[:, place], found[:, place]).statistic, abs=1e-5)
        assert row["spearman"] == pytest.approx(spearmanr(gold[:, place], found[:, place]).statistic, abs=1e-3)
        kappa = cohen_kappa_score(gold[:, place], levels[:, place], weights="quadratic", labels=[0, 1, 2, 3])
        assert row["kappa"] == pytest.approx(kappa)
    low, high = bundle.readout.intervals(found)
    assert metrics["coverage"] == pytest.approx(((gold >= low - 1e-6) & (gold <= high + 1e-6)).mean(), abs=1e-6)
    assert metrics["baselines"]["train_mean"]["mae"] > metrics["mae"]


def test_the_report_and_the_card_say_what_it_is(trained):
    page, card = (trained / "report.html").read_text(), (trained / "README.md").read_text()
    assert page.count("<svg") == 8  # a drawing for each label of dev and test
    assert "true intensity in the interval" in page
    assert "on the scale 0 to 3 in steps of 1" in card
    assert "It decides nothing" in card
    assert "is in an English text" in card
    assert "\nlanguage: en\n" in card
    assert not (trained / "fairness.json").exists()


def test_the_exported_models_answer_the_trained_intensities(trained, capfd):
    verify.main([str(trained), "--threads", "1"])
    assert "intensities moved by more than 5%" in capfd.readouterr().out
    reports = Bundle.read(trained).verification()["precisions"]
    assert reports["fp32"]["passed"]
    assert reports["fp32"]["max_intensity_difference"] < 1e-4
    assert reports["int8"]["passed"]
    assert 0 < reports["int8"]["rms_intensity_difference"] <= INTENSITY_TOLERANCES["int8"].rms_intensity_difference


@pytest.mark.parametrize(
    ("precision", "change", "message"),
    [
        ("fp32", lambda z: z + 0.01, r"max \|logit difference\| is 0.01, allowed 0.0001"),
        ("int8", lambda z: z + 0.4, "root mean square of what intensities move by"),
        ("int8", lambda z: z[::-1], "Pearson is .* lower"),
        ("fp16", lambda z: np.where(z > 0, np.nan, z), "some logits are not finite"),
    ],
)
def test_a_model_that_answers_something_else_fails(trained, precision, change, message):
    bundle = Bundle.read(trained)
    reference = bundle.reference()
    report, problems = judge_intensities(bundle, reference, np.asarray(change(reference.logits)), precision)
    assert re.search(message, "; ".join(problems))
    assert judge_intensities(bundle, reference, reference.logits, precision)[1] == []
    json.dumps(report, allow_nan=False)


def test_python_gives_intensities_with_intervals_and_refuses_the_rest(trained):
    model = ec.load(trained, precision="fp32", threads=1)
    assert (model.task, model.scale.high, model.policies) == ("intensity", 3.0, ())
    first, second, third = model.predict([*TEXTS[:2], ""])
    assert next(iter(first.intensities)) == "joy"
    joy = first.intensities["joy"]
    assert 0 <= joy.low <= joy.intensity <= joy.high <= 3
    assert joy.level in (0.0, 1.0, 2.0, 3.0)
    assert (first.labels, dict(first.probabilities), first.probably) == ((), {}, None)
    assert next(iter(second.intensities)) in ("sadness", "anger")
    assert "no visible character" in third.error
    for options in ({"policy": "f1"}, {"top_k": 2}, {"taxonomy": "ekman"}, {"thresholds": {"joy": 0.5}},
                    {"segments": "sentence"}, {"explain": True}):  # fmt: skip
        with pytest.raises(InvalidInputError, match=f"{next(iter(options))}: this model answers intensities"):
            model.predict(TEXTS, **options)
    with pytest.raises(InvalidInputError, match="intensities of windows are not put together"):
        model.predict(TEXTS, long_texts="windows")
    with pytest.raises(InvalidInputError, match="not probabilities"):
        model.predict_proba(TEXTS)


def test_a_table_gets_three_columns_a_label(trained, tmp_path, capfd):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,text\n1,so very happy\n2,\n3,i am angry\n", encoding="utf-8")
    predict_command.main([str(trained), "--input", str(source), "--output", str(target), "--precision", "fp32"])
    with target.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "text", *(f"i_{n}{end}" for n in LABELS for end in ("", "_low", "_high"))]
    assert [rows[1][name] for name in ("i_joy", "i_joy_low")] == ["", ""]
    expected = ec.load(trained, precision="fp32").predict(["so very happy"])[0].intensities["joy"]
    found = [float(rows[0][name]) for name in ("i_joy", "i_joy_low", "i_joy_high")]
    assert found == pytest.approx([expected.intensity, expected.low, expected.high], abs=1e-5)
    capfd.readouterr()
    predict_command.main([str(trained), "--text", "so very happy"])
    assert "joy" in capfd.readouterr().out.splitlines()[1]
    with pytest.raises(ConfigError, match="--segments: the model .* answers intensities"):
        predict_command.main([str(trained), "--text", "so happy", "--segments", "sentence"])


def evaluated(trained, **options):
    given = [f"--{key.replace('__', '.')}={value}" for key, value in {"bootstrap_samples": 0, **options}.items()]
    parsed, _ = parse_options(EvaluateOptions, given, prog="evaluate", description="")
    return evaluate_bundle(trained, parsed)


def test_evaluate_gives_the_sealed_metrics_again_and_writes_the_rows(trained, corpus, tmp_path):
    out = tmp_path / "evaluation"
    result = evaluated(
        trained, data__source="brighter", data__path=corpus, data__split="test", output=out, bootstrap_samples=50
    )
    sealed = Bundle.read(trained).metrics()["test"]
    assert (result["task"], result["split"], result["rows"]["scored"]) == ("intensity", "test", 80)
    assert result["pearson"] == pytest.approx(sealed["pearson"], abs=1e-5)
    assert result["per_label"]["joy"]["kappa"] == pytest.approx(sealed["per_label"]["joy"]["kappa"])
    low, high = result["intervals"]["pearson"]
    assert low < result["pearson"] < high
    with (out / "rows.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    gold, found = (np.array([float(row[name]) for row in rows]) for name in ("gold_joy", "i_joy"))
    assert pearsonr(gold, found).statistic == pytest.approx(result["per_label"]["joy"]["pearson"], abs=1e-4)
    assert (out / "report.html").is_file()
    served = ec.load(trained, precision="fp32").evaluate(
        str(corpus), **{"data.source": "brighter", "data.split": "test"}
    )  # fmt: skip
    assert served.pearson == pytest.approx(result["pearson"], abs=1e-4)
    assert served.precision == "fp32"


def test_rows_on_another_kind_of_scale_and_levels_of_labels_are_refused(trained, tmp_path):
    folder = write_emoint(tmp_path, counts=(20, 10, 10))
    with pytest.raises(DataFormatError, match="one has levels and the other has not"):
        evaluated(trained, data__source="emoint", data__path=folder, data__split="test")
    with pytest.raises(ConfigError, match="level is ekman, and the bundle's task is intensity"):
        evaluated(trained, data__source="emoint", data__path=folder, level="ekman")


def test_what_works_on_decided_labels_refuses_the_bundle_in_one_line(trained, tmp_path, corpus):
    from training.audit.audit import audit_bundle
    from training.evaluation.compare_bundles import compare_bundles
    from training.evaluation.drift import evaluate_drift
    from training.experiments.domains import run_domains
    from training.kfold import main as kfold

    said = "works on decided labels, and the task here is intensity"
    with pytest.raises(ConfigError, match=f"emotion adapt {said}"):
        adapt([str(trained), "--frequencies", "joy=0.1"])
    with pytest.raises(ConfigError, match=f"emotion audit {said}"):
        audit_bundle(trained, AuditOptions())
    with pytest.raises(ConfigError, match=f"emotion compare {said}"):
        compare_bundles([str(trained), f"{trained}@int8"], CompareOptions())
    log = tmp_path / "log.csv"
    log.write_text("p_joy\n0.5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"emotion drift {said}"):
        evaluate_drift(trained, log, DriftOptions())
    options, _ = parse_options(
        DomainsOptions, [f"--data.sources=[{{kind: brighter, path: {corpus}}}]"], prog="domains", description=""
    )
    with pytest.raises(ConfigError, match=f"emotion domains {said}"):
        run_domains([str(trained)], options)
    with pytest.raises(ConfigError, match=f"An experiment over several runs {said}"):
        kfold(
            ["--data.task=intensity", f"--data.path={corpus}", "--data.source=brighter", f"--run.output_dir={tmp_path}"]
        )


def test_a_conversation_is_refused_in_a_line(trained):
    with pytest.raises(InvalidInputError, match="this model answers intensities; the course of a conversation"):
        ec.load(trained, precision="fp32").conversation(TEXTS)


def test_the_document_of_the_interface_has_no_field_that_is_refused(trained):
    content = document(Settings(), Bundle.read(trained))
    fields = content["components"]["schemas"]["PredictRequest"]["properties"]
    assert set(fields) == {"texts", "text", "profile", "language", "long_texts"}
    assert "/classify" not in content["paths"]
    assert set(document(Settings())["components"]["schemas"]["PredictRequest"]["properties"]) > {"policy", "top_k"}


@pytest.mark.slow
def test_a_real_server_answers_intensities_with_intervals(trained, tmp_path):
    expected = ec.load(trained, precision="fp32").predict(TEXTS)
    with serving(tmp_path / "server", trained, precision="fp32") as server, httpx.Client(base_url=server.url) as client:
        body = client.post("/predict", json={"texts": [*TEXTS, " "]}, timeout=30).json()
        assert (body["task"], body["interval_level"]) == ("intensity", 0.9)
        assert body["scale"] == {"low": 0.0, "high": 3.0, "step": 1.0}
        assert "policy" not in body
        for result, own in zip(body["results"][:3], expected, strict=True):
            given = {each["label"]: each for each in result["intensities"]}
            assert list(given) == list(own.intensities)
            for name, each in own.intensities.items():
                assert [given[name][k] for k in ("intensity", "low", "high")] == pytest.approx(
                    [each.intensity, each.low, each.high], abs=1e-4
                )
            assert "labels" not in result
        assert body["results"][3]["error"]["error"] == "invalid_input"
        model = client.get("/model").json()
        assert (model["task"], model["policies"], model["taxonomies"]) == ("intensity", {}, {})
        assert set(model["intervals"]["half_widths"]) == set(LABELS)
        for extra in ({"policy": "f1"}, {"segments": "sentence"}, {"top_k": 3}, {"long_texts": "windows"}):
            refused = client.post("/predict", json={"text": TEXTS[0], **extra})
            assert refused.status_code == 422
            assert next(iter(extra)) in refused.json()["detail"]
        for path, content in (("/", {"inputs": TEXTS}), ("/classify", {"input": TEXTS})):
            refused = client.post(path, json=content)
            assert (refused.status_code, "answers intensities" in refused.json()["detail"]) == (422, True)
        with ec.Client(server.url) as own_client:
            prediction = own_client.predict(TEXTS[:1])[0]
        assert prediction.intensities["joy"].intensity == pytest.approx(
            expected[0].intensities["joy"].intensity, abs=1e-4
        )
        assert "emotion_texts_total" in client.get("/metrics").text
        assert "intensities" in client.get("/page/intensities.js").text


@pytest.mark.slow
@pytest.mark.skipif(not installed(), reason="no chromium and chromedriver here")
def test_the_page_shows_bars_with_intervals_and_says_that_it_shows_intensities(trained, tmp_path):
    with serving(tmp_path / "server", trained) as server, browsing(tmp_path / "profile") as page:
        page.size(1180, 860)
        page.open(server.url + "/")
        page.wait("!document.getElementById('scale-words').hidden")
        assert "intensities from 0 to 3" in page.run("document.getElementById('scale-words').textContent")
        page.fill("text", TEXTS[0])
        page.wait("document.querySelectorAll('#bars .row .interval').length === 4")
        assert page.run("document.querySelector('#bars .row').dataset.label") == "joy"
        assert page.run("document.getElementById('verdict').textContent").startswith("Most intense: joy")
        keys = "['--low', '--p', '--high'].map(k => Number(r.style.getPropertyValue(k)))"
        ends = f"[...document.querySelectorAll('#bars .row')].map(r => {keys})"
        assert all(0 <= low <= p <= high <= 1 for low, p, high in page.run(ends))
        hidden = "['compare', 'table'].every(v => document.querySelector(`[data-view=${v}]`).hidden)"
        assert page.run(f"{hidden} && document.querySelector('.settings').hidden")
        page.wait("document.getAnimations().length === 0")
        page.screenshot(Path(os.environ.get("EMOTION_SCREENSHOTS") or tmp_path) / "intensities.png")
        assert page.log() == []
        assert page.violations() == []
