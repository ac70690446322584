import json

import numpy as np
import pytest

from shared.aggregation import Aggregation
from shared.bundle import Bundle, default_bundle_path, seal
from shared.calibration import Calibration
from shared.errors import BundleFormatError, BundleNotFoundError, BundleTamperedError
from shared.manifest import MANIFEST
from shared.reference import Reference
from shared.thresholds import Policies
from shared.weights import INDEX, LAYER_WEIGHTS, SHARED_WEIGHTS, WEIGHTS

LABELS = ("calm", "angry", "neutral")


def write_parts(folder, labels=LABELS, outputs=3, temperatures=3, threshold_labels=LABELS):
    folder.mkdir(exist_ok=True)
    config = {"id2label": {str(i): f"label {i}" for i in range(outputs)}}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("model.safetensors", "tokenizer.json", "metrics.json"):
        (folder / name).write_text("{}")
    Calibration.identity(temperatures).write(folder / "calibration.json")
    Policies(threshold_labels, {"f1": np.full(len(threshold_labels), 0.5)}, "dev").write(folder / "thresholds.json")
    rows = np.zeros((2, len(labels)))
    Reference(
        np.array(["1", "2"]), ["a", "b"], rows.astype(np.uint8), rows == 0, rows.astype(np.float32), "dev"
    ).write(folder / "reference.npz")  # fmt: skip
    return folder


def sealed(folder, labels=LABELS, **parts):
    options = {
        "task": "multi_label",
        "pooling": "mean",
        "max_length": 64,
        "head_tokens": 16,
        "provenance": {"seed": 1},
    }
    return seal(write_parts(folder, labels, **parts), labels=labels, **options)


def test_a_sealed_bundle_reads_back_whole(tmp_path):
    sealed(tmp_path / "bundle")
    bundle = Bundle.read(tmp_path / "bundle")
    assert bundle.label_set.names == LABELS
    assert bundle.manifest.provenance == {"seed": 1}
    assert bundle.reference().texts == ["a", "b"]
    assert bundle.verification() is None
    assert "bundle.json" not in bundle.manifest.files


@pytest.mark.parametrize("name", ["model.safetensors", "thresholds.json", "config.json", "metrics.json"])
def test_any_edited_file_is_named(tmp_path, name):
    folder = sealed(tmp_path / "bundle").path
    with (folder / name).open("a") as stream:
        stream.write(" ")
    with pytest.raises(BundleTamperedError, match=rf"{name} in .* changed after the bundle was sealed"):
        Bundle.read(folder)


def test_exported_models_are_not_part_of_the_seal(tmp_path):
    bundle = sealed(tmp_path / "bundle")
    bundle.onnx_dir.mkdir()
    (bundle.onnx_dir / "verification.json").write_text('{"precisions": {}}')
    assert Bundle.read(bundle.path).verification() == {"precisions": {}}


def test_a_missing_file_is_named(tmp_path):
    folder = sealed(tmp_path / "bundle").path
    (folder / "reference.npz").unlink()
    with pytest.raises(BundleFormatError, match=r"lacks reference\.npz"):
        Bundle.read(folder)


def test_weights_of_another_bundle_beside_its_own_two_files_are_refused(tmp_path):
    folder = sealed(tmp_path / "bundle").path
    other = (folder / WEIGHTS).rename(tmp_path / WEIGHTS)
    for name in (SHARED_WEIGHTS, LAYER_WEIGHTS, INDEX):
        (folder / name).write_text("{}")
    manifest = json.loads((folder / MANIFEST).read_text())
    digest = manifest["files"].pop(WEIGHTS)
    manifest["files"] |= dict.fromkeys((SHARED_WEIGHTS, LAYER_WEIGHTS, INDEX), digest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert Bundle.read(folder).weights_files == (SHARED_WEIGHTS, LAYER_WEIGHTS)
    other.rename(folder / WEIGHTS)
    with pytest.raises(BundleFormatError, match=r"has the model\.safetensors of another bundle, which would be loaded"):
        Bundle.read(folder, check_files=False)


def test_a_required_file_must_be_sealed(tmp_path):
    folder = sealed(tmp_path / "bundle").path
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest["files"]["model.safetensors"]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleFormatError, match=r"does not seal model\.safetensors"):
        Bundle.read(folder)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"outputs": 4}, r"3 labels in bundle\.json, 4 outputs in config\.json, 3 temperatures"),
        ({"temperatures": 2}, r"3 outputs in config\.json, 2 temperatures in calibration\.json"),
        (
            {"threshold_labels": LABELS[:2]},
            r"thresholds\.json and bundle\.json disagree: 2 labels in thresholds.json and 3 in bundle.json",
        ),
        (
            {"threshold_labels": ("calm", "neutral", "angry")},
            r"disagree: label 1 is 'neutral' in thresholds.json and 'angry' in bundle.json",
        ),
    ],
)
def test_parts_that_disagree_are_named(tmp_path, parts, message):
    with pytest.raises(BundleFormatError, match=message):
        sealed(tmp_path / "bundle", **parts)


def test_another_schema_version_is_refused(tmp_path):
    folder = sealed(tmp_path / "bundle").path
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(BundleFormatError, match="schema version '99'; this version reads 1 to 4"):
        Bundle.read(folder)
    del manifest["labels"]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleFormatError, match="lacks the field 'labels'"):
        Bundle.read(folder)


def test_a_bundle_from_before_normalisation_was_recorded_keeps_its_own(tmp_path):
    assert sealed(tmp_path / "new").manifest.normalisation == "emoji_names"
    folder = sealed(tmp_path / "old").path
    manifest = json.loads((folder / "bundle.json").read_text())
    assert manifest.pop("normalisation") == "emoji_names"
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleFormatError, match="lacks the field 'normalisation'"):
        Bundle.read(folder)
    (folder / "bundle.json").write_text(json.dumps({**manifest, "schema_version": 2}))
    assert Bundle.read(folder).manifest.normalisation == "plain"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("labels", None, "'labels' is 'None', expected names"),
        ("labels", [1, 2, 3], "expected names"),
        ("files", [1], r"'files' is '\[1\]', expected names of files inside the bundle"),
        ("files", {"../../etc/passwd": "0"}, "expected names of files inside the bundle"),
        ("files", {"/etc/passwd": "0"}, "expected names of files inside the bundle"),
        ("files", {"a/../../b": "0"}, "expected names of files inside the bundle"),
        ("files", {"..\\b": "0"}, "expected names of files inside the bundle"),
        ("files", {"a": 0}, "each with its sha256"),
        ("max_length", "64", "'max_length' is '64', expected a number of tokens"),
        ("head_tokens", True, "'head_tokens' is 'True', expected a number of tokens"),
        ("normalisation", "lower", "'normalisation' is 'lower', expected plain or emoji_names"),
        ("provenance", [], "'provenance' is '\\[\\]', expected an object"),
        ("schema_version", {"a": 1}, "schema version"),
    ],
)
def test_a_malformed_manifest_is_one_error_that_names_the_field(tmp_path, field, value, message):
    folder = sealed(tmp_path / "bundle").path
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, field: value}))
    with pytest.raises(BundleFormatError, match=message):
        Bundle.read(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id2label": [1]}', "'id2label' is .* expected an object"),
        ('{"num_labels": "3"}', "'num_labels' is '3', expected a number"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"num_labels": ' + "9" * 5000 + "}", "is not valid JSON"),
        ("\ufeff{}", "is not valid JSON"),
    ],
)
def test_a_malformed_configuration_is_one_error(tmp_path, content, message):
    folder = write_parts(tmp_path / "bundle")
    (folder / "config.json").write_text(content, encoding="utf-8")
    options = {"task": "multi_label", "pooling": "mean", "max_length": 64, "head_tokens": 16, "provenance": {}}
    with pytest.raises(BundleFormatError, match=message):
        seal(folder, labels=LABELS, **options)


def test_a_bundle_packed_for_serving_is_read_without_its_weights_and_only_then(tmp_path):
    folder = sealed(tmp_path / "bundle").path
    (folder / "model.safetensors").unlink()
    assert Bundle.read(folder, weights=False).seal
    with pytest.raises(BundleFormatError, match=r"lacks model\.safetensors"):
        Bundle.read(folder)
    (folder / "model.safetensors").write_text("{} ")
    with pytest.raises(BundleTamperedError, match=r"model\.safetensors"):
        Bundle.read(folder, weights=False)


def test_no_bundle_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleNotFoundError, match="no bundle at .* Make one with: python -m training.run"):
        Bundle.read(tmp_path)


def test_a_broken_reference_is_named(tmp_path):
    bundle = sealed(tmp_path / "bundle")
    good = bundle.reference()
    Reference(good.row_ids, good.texts, good.labels, good.known, good.logits[:, :2], "dev").write(
        bundle.path / "reference.npz"
    )
    with pytest.raises(BundleFormatError, match=r"logits of shape \(2, 2\) for 3 labels"):
        bundle.reference()
    Reference(good.row_ids, good.texts[:1], good.labels, good.known, good.logits, "dev").write(
        bundle.path / "reference.npz"
    )
    with pytest.raises(BundleFormatError, match="differ in length"):
        bundle.reference()
    (bundle.path / "reference.npz").write_bytes(b"not a zip")
    with pytest.raises(BundleFormatError, match="not a readable reference"):
        bundle.reference()


def test_the_default_bundle_is_named_by_the_environment_or_the_newest_run(monkeypatch):
    monkeypatch.delenv("EMOTION_BUNDLE", raising=False)
    assert str(default_bundle_path()) == "runs/latest/bundle"
    monkeypatch.setenv("EMOTION_BUNDLE", "elsewhere")
    assert str(default_bundle_path()) == "elsewhere"


def test_an_aggregation_that_is_not_sealed_is_none_of_the_bundle(tmp_path):
    folder = sealed(tmp_path / "bundle").path
    Aggregation("mean", Policies(LABELS, {"f1": np.zeros(3)}, "dev")).write(folder)
    assert Bundle.read(folder).aggregation == Aggregation()


def test_an_aggregation_that_is_sealed_is_read(tmp_path):
    write_parts(tmp_path / "bundle")
    Aggregation("mean").write(tmp_path / "bundle")
    assert sealed(tmp_path / "bundle").aggregation == Aggregation("mean")
