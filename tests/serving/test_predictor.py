"""The predictor serves verified models alone, and gives every text the logits it would have alone."""

import math
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from serving.predictor import Predictor, batch_limits, batches_by_length, record_self_check
from serving.providers import CPU, CUDA
from shared.errors import BundleNotFoundError, BundleTamperedError, ConfigError, VerificationError
from shared.files import read_json, sha256_file, write_json
from tests.serving.bundles import stand_in_bundle

TEXTS = ["i am happy", "", "sad " * 80, "the dog is great and the cat is awful", "ok"]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("stand_in") / "bundle")


@pytest.fixture
def path(sealed, tmp_path):
    return shutil.copytree(sealed, tmp_path / "bundle")


def edit_verification(path, change):
    content = read_json(path / "onnx" / "verification.json")
    change(content)
    write_json(path / "onnx" / "verification.json", content)


def add_precision(path, precision, **report):
    """Offer the fp32 model under another precision's name."""
    name = f"model_{precision}.onnx"
    shutil.copy(path / "onnx" / "model.onnx", path / "onnx" / name)
    digest = sha256_file(path / "onnx" / name)
    entry = {"file": name, "sha256": digest, "passed": True, **report}
    edit_verification(path, lambda content: content["precisions"].update({precision: entry}))


def test_logits_come_in_the_order_of_the_texts_whatever_the_batch(sealed):
    predictor = Predictor.load(sealed)
    together = predictor.logits(TEXTS)
    alone = np.concatenate([predictor.logits([text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), 28)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert predictor.logits([]).shape == (0, 28)
    assert predictor.run([]).shape == (0, 28)


def test_probabilities_are_calibrated(sealed):
    predictor = Predictor.load(sealed)
    logits = predictor.logits(TEXTS)
    np.testing.assert_allclose(predictor.probabilities(logits), 1 / (1 + np.exp(-logits / 1.3)), atol=1e-6)


def test_int8_is_preferred_on_a_cpu_when_it_passed(path):
    assert (Predictor.load(path).precision, Predictor.load(path).provider) == ("fp32", CPU)
    add_precision(path, "fp16")
    assert Predictor.load(path).precision == "fp32"
    add_precision(path, "int8")
    assert Predictor.load(path).precision == "int8"
    assert Predictor.load(path, precision="fp16").precision == "fp16"
    add_precision(path, "int8", passed=False)
    assert Predictor.load(path).precision == "fp32"


def test_fp16_is_preferred_on_cuda_and_given_up_when_the_session_runs_on_the_cpu(path, monkeypatch):
    add_precision(path, "int8")
    add_precision(path, "fp16")
    asked = []

    def resolve(name):
        return CUDA

    def open_on_cpu(file, *, threads=None, provider=None, cuda=None):
        from serving.runtime import open_session

        asked.append((file.name, provider))
        return open_session(file, threads=threads, provider="cpu")

    monkeypatch.setattr("serving.predictor.resolve_provider", resolve)
    monkeypatch.setattr("serving.predictor.open_session", open_on_cpu)
    assert Predictor.load(path).precision == "int8"
    assert asked == [("model_fp16.onnx", CUDA), ("model_int8.onnx", CPU)]


def test_a_missing_bundle_is_refused(tmp_path):
    with pytest.raises(BundleNotFoundError, match=r"no bundle at .* Make one with: python -m training\.run"):
        Predictor.load(tmp_path)


def test_a_tampered_bundle_is_refused(path):
    (path / "metrics.json").write_text("{}")
    with pytest.raises(BundleTamperedError, match=r"metrics\.json in .* changed after the bundle was sealed"):
        Predictor.load(path)


def test_an_unverified_bundle_is_refused(path):
    (path / "onnx" / "verification.json").unlink()
    with pytest.raises(VerificationError, match=rf"is unverified: .* Run: python -m serving\.export {path}"):
        Predictor.load(path)


def test_a_stale_verification_is_refused(path):
    edit_verification(path, lambda content: content.update(bundle_seal="0" * 64))
    with pytest.raises(VerificationError, match=r"is stale: bundle\.json changed after it was made. Run: python -m"):
        Predictor.load(path)


def test_another_schema_of_the_verification_is_refused(path):
    edit_verification(path, lambda content: content.update(schema_version=9))
    with pytest.raises(VerificationError, match="has schema version 9; this version reads 1"):
        Predictor.load(path)


def test_a_failed_verification_is_refused_with_its_reasons(path):
    def fail(content):
        content["precisions"]["fp32"].update(passed=False, failures=["3 decisions flipped"])

    edit_verification(path, fail)
    with pytest.raises(VerificationError, match=r"no exported model of .* passed its verification \(exported: fp32\)"):
        Predictor.load(path)
    with pytest.raises(VerificationError, match="the verification of the fp32 model of .* failed: 3 decisions flipped"):
        Predictor.load(path, precision="fp32")


def test_a_model_changed_after_its_verification_is_refused(path):
    with (path / "onnx" / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(
        VerificationError, match=r"onnx/model\.onnx in .* changed after it was verified. Run: python -m"
    ):
        Predictor.load(path)


def test_a_missing_model_is_refused(path):
    (path / "onnx" / "model.onnx").unlink()
    with pytest.raises(VerificationError, match=r"onnx/model\.onnx is missing in"):
        Predictor.load(path)


def test_a_precision_that_was_not_exported_is_refused(path):
    with pytest.raises(
        VerificationError, match=r"has no verified int8 model \(exported: fp32\). Run: .* --precision int8"
    ):
        Predictor.load(path, precision="int8")
    with pytest.raises(ConfigError, match="unknown precision 'int4'"):
        Predictor.load(path, precision="int4")


def test_a_model_that_carries_other_labels_is_refused(path):
    import onnx

    file = path / "onnx" / "model.onnx"
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {"labels": '["joy"]', "weights_sha256": "0"})
    onnx.save(model, file)
    edit_verification(path, lambda content: content["precisions"]["fp32"].update(sha256=sha256_file(file)))
    with pytest.raises(VerificationError, match="does not fit its bundle: 1 labels in the model and 28 in bundle.json"):
        Predictor.load(path)


def record_rows(path, precision, shift, key="self_check"):
    predictor = Predictor.load(path, precision=precision)
    recorded = record_self_check(predictor.bundle.reference().texts, lambda texts: predictor.logits(texts) + shift)
    edit_verification(path, lambda content: content["precisions"][precision].update({key: recorded}))


def test_a_model_that_passes_its_self_check_is_served(path):
    record_rows(path, "fp32", 5e-4)
    assert Predictor.load(path).precision == "fp32"


def test_a_bundle_verified_before_version_0_2_is_checked_by_the_key_it_has(path):
    record_rows(path, "fp32", 0.3, key="canary")
    with pytest.raises(VerificationError, match="does not give on this machine the logits it was verified with"):
        Predictor.load(path)


def test_a_model_that_computes_something_else_here_is_passed_over_or_refused(path, caplog):
    add_precision(path, "int8")
    record_rows(path, "int8", 0.3)
    assert Predictor.load(path).precision == "fp32"
    message = "the int8 model of .* does not give on this machine the logits it was verified with: they differ by 0.3"
    assert re.search(message, caplog.text)
    with pytest.raises(
        VerificationError, match=rf"{message}, allowed 0.02. Verify it here with: python -m serving.ver"
    ):
        Predictor.load(path, precision="int8")
    record_rows(path, "fp32", 0.3)
    with pytest.raises(VerificationError, match=message):
        Predictor.load(path)


def test_memory_of_a_large_call_is_given_back(sealed, monkeypatch):
    asked = []
    monkeypatch.setattr("serving.predictor.run_options", lambda *, shrink: asked.append(shrink))
    predictor = Predictor.load(sealed)
    predictor.logits(["ok"])
    assert asked == []
    monkeypatch.setattr("serving.predictor.LARGE_ATTENTION", 16)
    assert predictor.logits(["i am so happy"]).shape == (1, 28)
    assert asked == [True]


def test_batches_hold_similar_lengths_within_the_budget():
    lengths = [5, 1, 9, 5, 2, 30, 8]
    batches = list(batches_by_length(lengths, max_tokens=20))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert [[lengths[row] for row in batch] for batch in batches] == [[1, 2, 5, 5], [8, 9], [30]]


def test_a_longer_text_begins_a_batch_where_it_would_pad_the_others_too_much():
    lengths = [5, 5, 6, 8, 8, 11]  # 6 pads two texts by a token each, 8 three by two each, 11 two by three each
    assert list(batches_by_length(lengths, max_tokens=100, max_padding=5)) == [[0, 1, 2], [3, 4], [5]]
    assert list(batches_by_length(lengths, max_tokens=100, max_padding=6)) == [[0, 1, 2, 3, 4], [5]]


@pytest.mark.parametrize(("provider", "limits"), [("CPU", (512, 8)), ("CUDA", (4096, math.inf))])
def test_batches_on_a_cpu_are_as_large_as_its_cache_keeps(provider, limits):
    session = SimpleNamespace(get_providers=lambda: [f"{provider}ExecutionProvider"])
    assert batch_limits(session) == limits


def test_online_modules_load_neither_torch_nor_transformers():
    code = (
        "import sys, serving.predictor, serving.predict, serving.runtime, serving.verify;"
        "print([name for name in ('torch', 'transformers', 'optimum', 'onnx') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
