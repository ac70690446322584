import numpy as np
import pytest

from shared.calibration import Calibration, sigmoid, softmax
from shared.errors import BundleFormatError


def test_sigmoid_is_exact_at_hand_worked_points_and_never_overflows():
    assert sigmoid([0.0, np.log(3.0), -np.log(3.0)]).tolist() == pytest.approx([0.5, 0.75, 0.25])
    with np.errstate(over="raise"):
        assert sigmoid([1e4, -1e4, np.inf, -np.inf]).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_softmax_sums_to_one_for_huge_logits():
    assert softmax([[1e4, 1e4], [0.0, np.log(3.0)]]).tolist() == [[0.5, 0.5], pytest.approx([0.25, 0.75])]


def test_temperature_keeps_the_ranking_and_the_sign_of_the_margin():
    logits = np.random.default_rng(0).normal(size=(40, 3))
    scaled = Calibration("temperature_per_label", np.array([0.5, 1.0, 3.0])).apply(logits)
    assert (np.argsort(scaled, axis=0) == np.argsort(logits, axis=0)).all()
    assert ((scaled > 0.5) == (logits > 0)).all()


def test_the_identity_is_the_sigmoid():
    logits = np.array([[0.3, -2.0]])
    assert (Calibration.identity(2).apply(logits) == sigmoid(logits)).all()


def test_reading_gives_back_what_was_written(tmp_path):
    written = Calibration("temperature", np.array([1.3, 1.3]), "softmax", "dev", {"nll": 0.2}, {"nll": 0.1})
    written.write(tmp_path / "calibration.json")
    read = Calibration.read(tmp_path / "calibration.json")
    assert read.temperatures.tolist() == [1.3, 1.3]
    assert (read.method, read.activation, read.fitted_on, read.before, read.after) == (
        "temperature", "softmax", "dev", {"nll": 0.2}, {"nll": 0.1},
    )  # fmt: skip


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_must_be_positive_and_finite(temperature):
    with pytest.raises(BundleFormatError, match="positive and finite"):
        Calibration("temperature", np.array([temperature]))


def test_unknown_methods_are_refused():
    with pytest.raises(BundleFormatError, match="unknown calibration method 'platt'; allowed: none, temperature"):
        Calibration("platt", np.ones(1))
    with pytest.raises(BundleFormatError, match="unknown activation 'relu'"):
        Calibration("none", np.ones(1), "relu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"method": "none"}', "lacks or garbles 'temperatures'"),
        (None, "is missing"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(BundleFormatError, match=f"calibration.json.*{message}"):
        Calibration.read(tmp_path / "calibration.json")


def test_biases_are_added_after_the_temperature_and_come_back_from_the_file(tmp_path):
    biased = Calibration("bias_corrected_temperature", np.array([2.0, 1.0]), biases=np.array([np.log(3.0), 0.0]))
    assert biased.apply([[0.0, np.log(3.0)]])[0].tolist() == pytest.approx([0.75, 0.75])
    assert biased.scores([[2.0, 1.0]])[0].tolist() == pytest.approx([1.0 + np.log(3.0), 1.0])
    biased.write(tmp_path / "calibration.json")
    assert Calibration.read(tmp_path / "calibration.json").biases.tolist() == [np.log(3.0), 0.0]
    Calibration("temperature", np.ones(2)).write(tmp_path / "plain.json")
    assert "biases" not in (tmp_path / "plain.json").read_text()


def test_biases_must_be_finite_one_a_label_and_of_the_method_that_has_them():
    with pytest.raises(BundleFormatError, match="biases must be finite"):
        Calibration("bias_corrected_temperature", np.ones(1), biases=np.array([np.nan]))
    with pytest.raises(BundleFormatError, match="3 biases for 2 temperatures"):
        Calibration("bias_corrected_temperature", np.ones(2), biases=np.ones(3))
    with pytest.raises(BundleFormatError, match="biases do not go with the method 'temperature'"):
        Calibration("temperature", np.ones(2), biases=np.ones(2))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_logits_of_probabilities_have_these_probabilities(activation):
    random = np.random.default_rng(0)
    calibration = Calibration("bias_corrected_temperature", random.uniform(0.5, 3, 6), activation,
                              biases=random.normal(size=6))  # fmt: skip
    logits = random.normal(scale=6, size=(50, 6))
    back = calibration.logits(calibration.apply(logits))
    np.testing.assert_allclose(calibration.apply(back), calibration.apply(logits), atol=1e-12)
    if activation == "sigmoid":
        moderate = np.abs(calibration.scores(logits)) < 10
        np.testing.assert_allclose(back[moderate], logits[moderate], atol=1e-6)
    assert np.isfinite(calibration.logits(np.array([0.0, 1.0, 0.5, 0.5, 0.5, 0.5]))).all()
