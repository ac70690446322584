"""Runs of the task intensity: which options it takes, and that each of its losses learns and ends in a bundle."""

from __future__ import annotations

import numpy as np
import pytest

from shared.bundle import Bundle
from shared.errors import ConfigError
from shared.modeling.classifier import load_classifier
from tests.intensity_rows import arguments, write_brighter, write_emoint
from training.run import main as train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_brighter(tmp_path_factory.mktemp("brighter"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss__name": "focal"}, "loss.name is focal, and data.task is intensity"),
        ({"loss__smoothing": "0.1"}, "loss.smoothing is made for labels"),
        ({"augment__methods": "[synonyms]"}, "augment.methods is made for labels"),
        ({"calibration__per_language": "true"}, "calibration.per_language is made for labels"),
        ({"distill__teachers": "[runs/a]"}, "distill.teachers is made for labels"),
        ({"data__sampling__min_presence": "2"}, "data.sampling.min_presence is made for labels"),
        ({"data__taxonomy": "ekman"}, "data.taxonomy is made for labels"),
        ({"eval__best_by": "micro_f1"}, "eval.best_by has micro_f1, and data.task is intensity"),
        ({"data__task": "labels", "loss__name": "mse"}, "loss.name is mse, which is for intensities"),
        ({"data__task": "labels", "data__scale": "0:1"}, "data.task is labels"),
        ({"data__task": "labels", "eval__best_by": "pearson"}, "measured with data.task intensity alone"),
    ],
)
def test_options_of_the_other_task_are_refused_before_anything_is_read(tiny_model, tmp_path, corpus, options, message):
    with pytest.raises(ConfigError, match=message):
        train(arguments(tiny_model, tmp_path, **{"data__path": corpus, **options}))


def test_a_cumulative_link_needs_levels(tiny_model, tmp_path):
    folder = write_emoint(tmp_path / "emoint", counts=(20, 10, 10))
    with pytest.raises(ConfigError, match="for ordinal scales, and the intensities are continuous"):
        train(arguments(tiny_model, tmp_path, data__source="emoint", data__path=folder, loss__name="coral"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"loss__name": "mse", "model__pooling": "mean"},
        {"loss__name": "bce", "tuning__method": "lora", "optim__ema_decay": "0.9"},
    ],
    ids=lambda options: options["loss__name"],
)
def test_bounded_regression_learns_continuous_intensities_of_single_emotions(tiny_model, tmp_path, options):
    folder = write_emoint(tmp_path / "emoint")
    train(arguments(tiny_model, tmp_path, data__source="emoint", data__path=folder, **options))
    bundle = Bundle.read(tmp_path / "runs" / "default" / "bundle")
    assert not bundle.readout.ordinal
    metrics = bundle.metrics()["test"]
    assert metrics["pearson"] > 0.5
    assert "kappa" not in metrics
    assert [row["rows"] for row in metrics["per_label"].values()] == [60] * 4


@pytest.mark.slow
def test_a_run_of_coral_with_lora_is_resumed_and_sealed_without_its_cuts_in_the_network(tiny_model, tmp_path, corpus):
    given = arguments(
        tiny_model, tmp_path, data__path=corpus, loss__name="coral", tuning__method="lora", model__pooling="mean",
        optim__epochs=2,
    )  # fmt: skip
    train(given)
    bundle = Bundle.read(tmp_path / "runs" / "default" / "bundle")
    assert (np.diff(bundle.readout.cuts, axis=1) > 0).all()
    assert not [name for name in load_classifier(bundle.path).state_dict() if "gaps" in name]
    train([*given, "--run.resume=true"])
    assert Bundle.read(bundle.path).metrics() == bundle.metrics()
