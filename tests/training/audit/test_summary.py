"""Fairness as every run measures it: the numbers of the audit, in the bundle and on its card."""

import numpy as np
import pytest

from shared.bundle import Bundle
from shared.files import read_json
from training.audit.fairness import counterfactual_gaps
from training.audit.identities import variants
from training.evaluation.inference import trained_logits


def test_a_run_seals_the_gaps_of_its_model_and_shows_them_on_the_card(finished):
    bundle = Bundle.read(finished / "bundle")
    assert "fairness.json" in bundle.manifest.files
    sealed = read_json(bundle.path / "fairness.json")
    sentences = variants(200)
    assert sealed["sentences"] == len(sentences) >= 200

    probabilities = bundle.calibration.apply(
        trained_logits(bundle, batch_size=64, threads=1)([one.text for one in sentences])
    )
    decisions = bundle.policies.decide(probabilities)
    expected = counterfactual_gaps(sentences, probabilities, decisions, bundle.label_set.names)
    for name, row in expected.items():
        assert sealed["categories"][name]["mean_absolute_gap"] == pytest.approx(row["mean_absolute_gap"], abs=1e-6)
        assert sealed["categories"][name]["flagged"] == row["flagged"]

    # the gap of one set by hand: the mean probability of a group minus the mean of the groups
    kin = [place for place, one in enumerate(sentences) if one.category == "kinship"]
    keys = list(dict.fromkeys(sentences[place].key for place in kin))
    gaps = []
    for key in keys:
        groups = [
            probabilities[[p for p in kin if sentences[p].key == key and sentences[p].group == group]].mean(axis=0)
            for group in ("female", "male")
        ]
        gaps.append(np.abs(groups[0] - groups[1]) / 2)
    assert sealed["categories"]["kinship"]["mean_absolute_gap"] == pytest.approx(float(np.mean(gaps)), abs=1e-6)

    card = (bundle.path / "README.md").read_text()
    assert f"{len(sentences)} sentences in sets that differ in the person alone" in card
    assert "| kinship |" in card
    assert "Not measured in training" not in card
