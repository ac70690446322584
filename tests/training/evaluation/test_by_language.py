"""What a language's own thresholds bring is measured as they are served."""

import numpy as np
import pytest

from shared.calibration import Calibration
from shared.profiles import Profile
from shared.thresholds import Policies
from training.evaluation.by_language import metrics_by_language
from training.evaluation.measures import Predictions

SHARED = Calibration("temperature", np.array([1.0]), fitted_on="dev")


def profile(threshold, temperature=1.0, **about):
    calibration = Calibration("temperature", np.array([temperature]), fitted_on="dev")
    return Profile(calibration, Policies(("joy",), {"f1": np.array([threshold])}, "dev"), about)


@pytest.fixture
def rows():
    p = np.array([0.9, 0.7, 0.6, 0.2])[:, None]
    truth = np.array([True, True, False, False])[:, None]
    return Predictions(truth, np.ones_like(truth), p, p >= 0.95)


def test_a_region_is_decided_by_the_profile_of_its_language(rows):
    found = metrics_by_language(
        rows, ["pt-br", "pt-br", "pt-br", "en"], ("joy",), {"pt": profile(0.65, language="pt"), "x": profile(0.1)},
        calibration=SHARED,
    )  # fmt: skip
    assert found["pt-br"]["own_thresholds"] == {"macro_f1": 1.0, "micro_f1": 1.0}
    assert "own_thresholds" not in found["en"]


def test_thresholds_are_of_the_profiles_own_calibration(rows):
    # at temperature 2 the probabilities 0.9, 0.7, 0.6 are 0.75, 0.604, 0.551
    found = metrics_by_language(
        rows, ["es"] * 4, ("joy",), {"es": profile(0.58, temperature=2.0, language="es")}, calibration=SHARED
    )
    assert found["es"]["own_thresholds"]["micro_f1"] == 1.0
    assert metrics_by_language(rows, ["en"] * 4, ("joy",), {"x": profile(0.1)}, calibration=SHARED) == {}
