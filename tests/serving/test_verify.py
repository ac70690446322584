"""Verification finds what is broken, and says what."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serving.export import export_bundle
from serving.exporting.verification import TOLERANCES, Tolerance, compare, decisions_outside_tolerance, failures
from serving.predictor import Predictor
from serving.verify import main, verify_bundle
from shared.bundle import Bundle
from shared.errors import BundleFormatError, BundleTamperedError, VerificationError
from shared.files import read_json, write_json
from tests.serving.exportable import exportable_bundle


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = exportable_bundle(tmp_path_factory.mktemp("exported") / "bundle")
    export_bundle(Bundle.read(path), ["fp32"])
    return path


@pytest.fixture
def bundle_path(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "bundle")


def change_model(bundle_path, change):
    path = bundle_path / "onnx" / "model.onnx"
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def forget_checksum(bundle_path):
    """Let the changed model pass for the exported one."""
    path = bundle_path / "onnx" / "verification.json"
    content = read_json(path)
    content["precisions"] = {}
    write_json(path, content)


def add_to_weight(ending, place, amount):
    def change(model):
        entry = next(entry for entry in model.graph.initializer if entry.name.endswith(ending))
        array = numpy_helper.to_array(entry).copy()
        array[place] += amount
        entry.CopyFrom(numpy_helper.from_array(array, entry.name))

    return change


def set_labels(labels):
    return lambda model: onnx.helper.set_model_props(
        model, {**{entry.key: entry.value for entry in model.metadata_props}, "labels": json.dumps(labels)}
    )


def test_an_untouched_bundle_passes(bundle_path, capsys):
    main([str(bundle_path)])
    assert "fp32: passed" in capsys.readouterr().out
    assert Predictor.load(bundle_path).precision == "fp32"


@pytest.mark.parametrize(
    ("ending", "place", "amount"),
    [("layer_1/feed_forward/down.weight", (2, 3), 0.5), ("words.table", (1, 0), 0.5), ("classifier.bias", 1, 0.001)],
)
def test_one_changed_weight_fails_by_its_logits(bundle_path, ending, place, amount):
    change_model(bundle_path, add_to_weight(ending, place, amount))
    forget_checksum(bundle_path)
    with pytest.raises(VerificationError, match=r"fp32: max \|logit difference\| is .*, allowed 0.0001"):
        verify_bundle(Bundle.read(bundle_path))
    assert not read_json(bundle_path / "onnx" / "verification.json")["precisions"]["fp32"]["passed"]
    with pytest.raises(VerificationError, match="no exported model of .* passed its verification"):
        Predictor.load(bundle_path)


def test_a_change_that_no_reference_row_sees_fails_by_its_checksum(bundle_path):
    unseen = 4  # the [MASK] token
    change_model(bundle_path, add_to_weight("words.table", (unseen, 0), 5.0))
    with pytest.raises(VerificationError, match="fp32: model.onnx is not the file that was exported"):
        verify_bundle(Bundle.read(bundle_path))
    with pytest.raises(VerificationError, match="is not the file that was exported"):
        verify_bundle(Bundle.read(bundle_path))


def test_two_swapped_labels_in_the_model_fail(bundle_path):
    change_model(bundle_path, set_labels(["sadness", "joy", "anger", "fear"]))
    forget_checksum(bundle_path)
    with pytest.raises(VerificationError, match=r"label 0 is 'sadness' in the model and 'joy' in bundle\.json"):
        verify_bundle(Bundle.read(bundle_path))


def test_two_swapped_outputs_fail(bundle_path):
    def swap(model):
        for name in ("head/classifier.weight", "head/classifier.bias"):
            entry = next(entry for entry in model.graph.initializer if entry.name == name)
            array = numpy_helper.to_array(entry)[..., [1, 0, 2, 3]]
            entry.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))

    change_model(bundle_path, swap)
    forget_checksum(bundle_path)
    with pytest.raises(VerificationError, match=r"decisions flipped \(\d+ under f1, \d+ under half\), allowed 0"):
        verify_bundle(Bundle.read(bundle_path))


def test_two_swapped_labels_in_the_bundle_fail(bundle_path):
    content = read_json(bundle_path / "bundle.json")
    content["labels"][:2] = reversed(content["labels"][:2])
    write_json(bundle_path / "bundle.json", content)
    with pytest.raises(BundleFormatError, match=r"thresholds\.json and bundle\.json disagree: label 0 is 'joy'"):
        main([str(bundle_path)])


def test_a_truncated_model_fails(bundle_path):
    path = bundle_path / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VerificationError, match=r"model\.onnx is not the file that was exported, .* cannot be loaded"):
        verify_bundle(Bundle.read(bundle_path))


def test_an_edited_threshold_fails(bundle_path):
    content = read_json(bundle_path / "thresholds.json")
    content["policies"]["f1"]["anger"] = 0.01
    write_json(bundle_path / "thresholds.json", content)
    with pytest.raises(BundleTamperedError, match=r"thresholds\.json in .* changed after the bundle was sealed"):
        main([str(bundle_path)])


def test_a_model_of_other_weights_fails(bundle_path):
    def change(model):
        onnx.helper.set_model_props(model, {"labels": '["joy", "sadness", "anger", "fear"]', "weights_sha256": "0"})

    change_model(bundle_path, change)
    forget_checksum(bundle_path)
    with pytest.raises(VerificationError, match=r"exported from other weights than the bundle's model\.safetensors"):
        verify_bundle(Bundle.read(bundle_path))


def test_other_outputs_fail(bundle_path):
    def rename(model):
        model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"

    change_model(bundle_path, rename)
    forget_checksum(bundle_path)
    with pytest.raises(VerificationError, match="outputs are scores with 4 columns, expected logits with 4 columns"):
        verify_bundle(Bundle.read(bundle_path))


def test_a_bundle_without_exports_says_what_to_run(bundle_path):
    shutil.rmtree(bundle_path / "onnx")
    with pytest.raises(
        VerificationError, match=f"no exported model to verify. Run: python -m serving.export {bundle_path}"
    ):
        main([str(bundle_path)])


def reference_of(exported):
    bundle = Bundle.read(exported)
    return bundle, bundle.reference()


def test_a_decision_within_rounding_is_no_flip(exported):
    bundle, reference = reference_of(exported)
    exact = compare(bundle, reference, reference.logits, TOLERANCES["fp32"])
    assert exact.flipped_decisions == 0
    assert list(failures(exact, TOLERANCES["fp32"])) == []
    temperature, threshold = bundle.calibration.temperatures[0], bundle.policies.get()[0]
    on_threshold = np.float32(np.log(threshold / (1 - threshold)) * temperature)
    reference.logits[0, 0] = on_threshold + np.float32(2e-5)
    near = reference.logits.copy()
    near[0, 0] -= np.float32(5e-5)
    assert compare(bundle, reference, near, TOLERANCES["fp32"]).flipped_decisions == 0
    assert compare(bundle, reference, near, Tolerance(None, None, 0.0, 0.0)).flipped_by_policy["f1"] == 1


def test_losses_of_f1_are_said_with_both_values(exported):
    bundle, reference = reference_of(exported)
    noisy = reference.logits + np.random.default_rng(0).normal(0, 2, reference.logits.shape).astype(np.float32)
    comparison = compare(bundle, reference, noisy, TOLERANCES["int8"])
    messages = list(failures(comparison, TOLERANCES["int8"]))
    loss = comparison.macro_f1_trained - comparison.macro_f1
    assert messages[0] == f"macro F1 falls by {loss:.5f} (from {comparison.macro_f1_trained:.4f}), allowed 0.005"
    assert messages[1].startswith("micro F1 falls by")


def test_flips_of_the_default_policy_are_told_from_those_of_all_policies(exported):
    bundle, reference = reference_of(exported)
    other = reference.logits.copy()
    f1, half = (bundle.policies.values[name][0] for name in ("f1", "half"))
    middle = np.log((f1 + half) / 2 / (1 - (f1 + half) / 2)) * bundle.calibration.temperatures[0]
    reference.logits[0, 0], reference.logits[1, 0] = 9.0, 9.0
    other[0, 0], other[1, 0] = -9.0, middle  # row 0 flips under both, row 1 under `half`, whose threshold is higher
    found = compare(bundle, reference, other, Tolerance(None, None, 0.0, 0.0))
    assert found.flipped_by_policy == {"f1": 1, "half": 2}
    assert (found.flipped_decisions, found.flipped_decisions_all_policies) == (1, 3)


def test_the_report_holds_the_metrics_of_the_precision_that_is_served(exported):
    from sklearn.metrics import f1_score, log_loss

    bundle, reference = reference_of(exported)
    report = bundle.verification()["precisions"]["fp32"]
    logits = Predictor.load(exported).logits(reference.texts).astype(np.float64)
    probabilities = 1 / (1 + np.exp(-logits / bundle.calibration.temperatures))
    decisions = probabilities >= bundle.policies.get()
    expected = {
        "macro_f1": f1_score(reference.labels, decisions, average="macro", zero_division=0),
        "micro_f1": f1_score(reference.labels, decisions, average="micro", zero_division=0),
        "brier": np.mean((probabilities - reference.labels) ** 2),
        "nll": log_loss(reference.labels.ravel(), probabilities.ravel()),
    }
    found = report["metrics"]
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert (found["split"], found["policy"], found["num_examples"]) == ("dev", "f1", len(reference.texts))
    assert report["metrics_trained"] == pytest.approx(found, abs=1e-4)


def test_logits_that_are_not_finite_fail(exported):
    bundle, reference = reference_of(exported)
    broken = reference.logits.copy()
    broken[0, 0] = np.nan
    comparison = compare(bundle, reference, broken, TOLERANCES["int8"])
    assert "some logits are not finite" in list(failures(comparison, TOLERANCES["int8"]))


def test_of_two_labels_within_rounding_of_each_other_either_may_be_the_highest():
    trained = np.array([[0.400, 0.399, 0.201], [0.6, 0.3, 0.1]])
    swapped = np.array([[0.399, 0.400, 0.201], [0.3, 0.6, 0.1]])
    flips = decisions_outside_tolerance(swapped, trained, np.zeros(3), np.full(3, 0.001), argmax=True)
    assert flips.tolist() == [[True, False, False], [False, True, False]]  # the second row is a flip
    exact = decisions_outside_tolerance(swapped, trained, np.zeros(3), np.full(3, 0.0001), argmax=True)
    assert exact.tolist() == [[False, True, False], [False, True, False]]
