"""A bundle of several languages: trained on a mix, measured by language, with thresholds of each, and transferred."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from shared.bundle import Bundle
from shared.calibration import Calibration
from shared.errors import ConfigError
from shared.profiles import for_language
from shared.thresholds import Policies
from tests.training.conftest import run_arguments
from tests.training.rows import CUES, FILLERS, LABELS
from training import domains, evaluate, run
from training.calibration.languages import fit_language_profiles
from training.config import CalibrationConfig, Config, LossConfig
from training.config.schema import Config as Whole

OTHER = {"happy": "wonderful", "angry": "terrible", "afraid": "scared"}


def write_languages(path: Path, rows: dict[str, int]) -> Path:
    """Texts of the tiny task in two "languages" whose cues are other words, with a column `lang`."""
    random = np.random.default_rng(5)
    content = {}
    for code, count in rows.items():
        while sum(row["lang"] == code for row in content.values()) < count:
            chosen = random.choice(len(LABELS), size=random.integers(1, 3), replace=False)
            cues = [CUES[label] if code == "en" else OTHER[CUES[label]] for label in chosen]
            text = " ".join(random.permutation([*random.choice(FILLERS, size=random.integers(3, 7)), *cues]))
            content[text] = {"text": text, "labels": [LABELS[label] for label in chosen], "lang": code}
    path.write_text("".join(json.dumps(row) + "\n" for row in content.values()), encoding="utf-8")
    return path


def run_on(table: Path, model: Path, runs: Path, name: str, *options: str) -> Bundle:
    run.main([
        *run_arguments(model, table, runs), "--data.language_column=lang", f"--run.name={name}",
        "--data.dev_fraction=0.3", *options,
    ])  # fmt: skip
    return Bundle.read(runs / name / "bundle")


@pytest.fixture(scope="module")
def mixed(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    table = write_languages(folder / "two.jsonl", {"en": 200, "fi": 180})
    options = ["--calibration.per_language=true", "--data.language_alpha=0.5", "--optim.epochs=3"]
    return run_on(table, tiny_model, folder / "runs", "mixed", *options), table


def rows_of_one_label(count: int, positives: int, high: float) -> tuple[np.ndarray, np.ndarray]:
    """`positives` rows at `high` and above, the others below; so the best threshold lies in between."""
    truth = np.arange(count)[:, None] < positives
    return truth, np.where(truth, high + 0.05, high - 0.05)


def test_thresholds_of_a_language_lie_between_its_own_best_and_the_shared_one():
    one, low = rows_of_one_label(100, 40, 0.3)
    two, high = rows_of_one_label(100, 10, 0.7)
    few, none = rows_of_one_label(49, 20, 0.5)
    truth, probabilities = np.concatenate([one, two, few]), np.concatenate([low, high, none])
    shared = Policies(("joy",), {"f1": np.array([0.5]), "half": np.array([0.5])}, "dev")
    codes = ["sv"] * 100 + ["fi"] * 100 + ["is"] * 49
    found = fit_language_profiles(
        truth, probabilities, np.ones_like(truth), codes, calibration=Calibration.identity(1), policies=shared,
        config=CalibrationConfig(per_language=True, threshold_shrinkage=40),
    )  # fmt: skip
    assert list(found) == ["fi", "sv"]  # Icelandic has 49 rows
    # the best are 0.3 and 0.7, the middles of their gaps, with log odds -0.8473 and 0.8473; those of 0.5 are 0
    # 40 positives count half: -0.4236, and 10 a fifth: 0.1695
    assert found["sv"].policies.values["f1"] == pytest.approx([1 / (1 + np.exp(0.4236))], abs=2e-3)
    assert found["fi"].policies.values["f1"] == pytest.approx([1 / (1 + np.exp(-0.1695))], abs=2e-3)
    assert found["fi"].policies.values["half"] == [0.5]
    assert found["sv"].about == {"language": "sv", "fitted_on": "dev", "rows": 100, "policies": ["f1"]}
    assert [for_language(found, code) for code in ("fi", "sv-se", "is")] == ["fi", "sv", "default"]


def test_without_the_option_or_with_one_language_there_are_no_profiles():
    truth, probabilities = rows_of_one_label(100, 40, 0.3)
    shared = Policies(("joy",), {"f1": np.array([0.5])}, "dev")
    for config, codes in (
        (CalibrationConfig(), ["fi", "sv"] * 50), (CalibrationConfig(per_language=True), ["fi"] * 100),
        (CalibrationConfig(per_language=True), None),
    ):  # fmt: skip
        found = fit_language_profiles(
            truth, probabilities, np.ones_like(truth), codes, calibration=Calibration.identity(1), policies=shared,
            config=config,
        )  # fmt: skip
        assert found == {}


def test_most_probable_labels_have_no_thresholds_of_a_language():
    assert Config is Whole
    config = Config(loss=LossConfig(name="cross_entropy"), calibration=CalibrationConfig(per_language=True))
    with pytest.raises(ConfigError, match="per_language is true, and with loss.name cross_entropy"):
        config.check()


def test_a_bundle_seals_its_languages_their_thresholds_and_metrics(mixed):
    bundle, _ = mixed
    assert bundle.profile_names == ("default", "en", "fi")
    assert {"profiles/en/thresholds.json", "profiles/fi/thresholds.json"} <= set(bundle.manifest.files)
    assert bundle.manifest.provenance["data"]["languages"]["dev"] == {"en": 60, "fi": 54}
    dev = bundle.metrics()["dev"]
    assert {code: found["rows"] for code, found in dev["languages"].items()} == {"en": 60, "fi": 54}
    fi = bundle.with_profile("fi")
    reference = bundle.reference()
    finnish = np.array([any(word in text.split() for word in OTHER.values()) for text in reference.texts])
    decided = fi.policies.decide(fi.calibration.apply(reference.logits[finnish]))
    truth = reference.labels[finnish].astype(bool)
    micro = 2 * (truth & decided).sum() / (truth.sum() + decided.sum())
    assert dev["languages"]["fi"]["own_thresholds"]["micro_f1"] == pytest.approx(micro)
    assert (bundle.path / "profiles/fi").stat().st_mode & 0o100
    assert "language" in (bundle.path / "report.html").read_text()
    card = (bundle.path / "README.md").read_text()
    assert "a calibrated probability for a text in en, fi;" in card
    assert yaml.safe_load(card.split("---")[1])["language"] == ["en", "fi"]


def test_evaluation_names_each_language(mixed, capsys):
    bundle, table = mixed
    evaluate.main([
        str(bundle.path), "--data.source=table", f"--data.path={table}", "--data.language_column=lang",
        "--data.split=all", "--bootstrap_samples=0",
    ])  # fmt: skip
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {code: part["rows"] for code, part in found["languages"].items()} == {"en": 200, "fi": 180}
    assert "own_thresholds" in found["languages"]["fi"]


@pytest.mark.slow
def test_what_is_learnt_in_one_language_is_tested_in_another(mixed, tiny_model, tmp_path):
    _, table = mixed
    english = run_on(table, tiny_model, tmp_path, "english", "--data.languages=[en]", "--optim.epochs=6")
    assert english.manifest.provenance["data"]["languages"]["train"].keys() == {"en"}
    sources = [{"kind": "table", "path": str(table), "language_column": "lang"}]
    domains.main([
        str(english.path), f"--data.sources={json.dumps(sources)}", "--data.dev_fraction=0.3", "--each_language=true",
        "--data.split=test", f"--output={tmp_path / 'out'}", "--threads=1", "--bootstrap_samples=0",
    ])  # fmt: skip
    rows = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert [(row["corpus"], row["in_domain"], row["rows"]) for row in rows] == [
        ("table two.jsonl en", True, 20), ("table two.jsonl fi", False, 18),
    ]  # fmt: skip
    assert rows[0]["macro_f1"] > rows[1]["macro_f1"]
    assert "the language is one of the bundle's" in (tmp_path / "out/results.txt").read_text()
    with pytest.raises(ConfigError, match="the language of the rows of table .* is not known"):
        domains.main([
            str(english.path), f"--data.sources={json.dumps([{'kind': 'table', 'path': str(table)}])}",
            "--each_language=true", f"--output={tmp_path / 'none'}",
        ])  # fmt: skip
