"""A last layer beside an ONNX file: taken in place of the one in it, and only where it is verified."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from serving.exported import check_model, digests, layer_file, read_reports
from serving.own_layer import OwnLayer
from serving.predictor import Predictor
from serving.runtime import layer_weights, open_session
from shared.bundle import Bundle
from shared.errors import BundleFormatError, VerificationError
from shared.files import read_json, write_json
from shared.weights import INDEX, LAYER_WEIGHTS, SHARED_WEIGHTS, weights_files, weights_sha256
from tests.serving.bundles import stand_in_bundle


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return Bundle.read(stand_in_bundle(tmp_path / "bundle"))


def own_layer(bundle: Bundle, factor: float = 2.0) -> OwnLayer:
    import onnx
    from onnx import numpy_helper

    stored = {entry.name: entry for entry in onnx.load(bundle.onnx_dir / "model.onnx").graph.initializer}
    return OwnLayer({"head": numpy_helper.to_array(stored["head"]) * np.float32(factor)}, bundle.weights_sha256)


def test_a_session_takes_the_layer_beside_the_file(bundle):
    path, inputs = bundle.onnx_dir / "model.onnx", bundle.tokenizer().pad(bundle.tokenizer().encode(["i am happy"]))
    plain = open_session(path, threads=1, provider="cpu")
    before = plain.run(["logits"], inputs)[0]
    assert layer_weights(plain) is None
    own_layer(bundle).write(path)
    session = open_session(path, threads=1, provider="cpu")
    layer_file(path).unlink()  # what the session runs is known of itself
    assert layer_weights(session) == bundle.weights_sha256
    own_layer(bundle).write(path)
    after = session.run(["logits"], inputs)[0]
    np.testing.assert_allclose(after, 2 * before, rtol=1e-6)
    assert list(digests(path)) == ["model.onnx", "model.onnx.layer.npz"]
    assert OwnLayer.read(path).weights_sha256 == bundle.weights_sha256


def test_a_layer_that_nobody_verified_is_refused(bundle):
    own_layer(bundle).write(bundle.onnx_dir / "model.onnx")
    with pytest.raises(VerificationError, match=r"onnx/model\.onnx\.layer\.npz in .* changed after it was verified"):
        check_model(bundle, "fp32", read_reports(bundle))


def test_a_layer_of_other_weights_is_refused(bundle):
    path = bundle.onnx_dir / "model.onnx"
    layer = own_layer(bundle, 1.0)
    OwnLayer(layer.constants, "0" * 64).write(path)
    files = digests(path)
    verification = read_json(bundle.onnx_dir / "verification.json")
    verification["precisions"]["fp32"]["data_files"] = {layer_file(path).name: files[layer_file(path).name]}
    write_json(bundle.onnx_dir / "verification.json", verification)
    with pytest.raises(VerificationError, match=r"exported from other weights than the bundle's model\.safetensors"):
        Predictor.load(bundle.path, threads=1, provider="cpu")


def test_a_file_that_holds_no_layer_is_refused_in_a_line(bundle):
    path = bundle.onnx_dir / "model.onnx"
    for content in (b"", b"no archive"):
        layer_file(path).write_bytes(content)
        with pytest.raises(BundleFormatError, match=r"model\.onnx\.layer\.npz is no last layer"):
            open_session(path, threads=1, provider="cpu")


def test_weights_in_two_files_have_a_name_over_both():
    one = {"model.safetensors": "a"}
    assert (weights_files(one), weights_sha256(one)) == (("model.safetensors",), "a")
    two = {INDEX: "i", SHARED_WEIGHTS: "a", LAYER_WEIGHTS: "b"}
    assert weights_files(two) == (SHARED_WEIGHTS, LAYER_WEIGHTS)
    assert (
        len(
            {
                weights_sha256(two),
                weights_sha256(two | {LAYER_WEIGHTS: "c"}),
                weights_sha256(two | {SHARED_WEIGHTS: "c"}),
            }
        )
        == 3
    )


def test_a_bundle_whose_index_names_files_that_are_not_there_is_refused(bundle):
    manifest = read_json(bundle.path / "bundle.json")
    manifest["files"][INDEX] = manifest["files"].pop("model.safetensors")
    shutil.move(bundle.path / "model.safetensors", bundle.path / INDEX)
    write_json(bundle.path / "bundle.json", manifest)
    with pytest.raises(BundleFormatError, match=f"lacks {SHARED_WEIGHTS}, {LAYER_WEIGHTS}"):
        Bundle.read(bundle.path)
    with pytest.raises(BundleFormatError, match=f"does not seal {SHARED_WEIGHTS}, {LAYER_WEIGHTS}"):
        Bundle.read(bundle.path, weights=False)
