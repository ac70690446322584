"""Exporting a bundle: what is written passed its verification, and otherwise nothing is."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serving.export import export_bundle, main
from serving.exporting.verification import TOLERANCES, Tolerance, verify_model
from serving.predictor import Predictor
from serving.verify import verify_bundle
from shared.bundle import Bundle, seal
from shared.errors import ConfigError, VerificationError
from shared.files import sha256_file
from shared.reference import Reference
from tests.helpers import optimum_or_skip
from tests.serving.exportable import LABELS, MAX_LENGTH, exportable_bundle, sample_texts, trained_logits


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return exportable_bundle(tmp_path_factory.mktemp("sealed") / "bundle")


@pytest.fixture
def bundle_path(sealed, tmp_path):
    return shutil.copytree(sealed, tmp_path / "bundle")


def test_the_exported_model_is_verified_on_every_reference_row(bundle_path):
    content = export_bundle(Bundle.read(bundle_path), ["fp32"])
    bundle = Bundle.read(bundle_path)
    report = content["precisions"]["fp32"]
    assert report["passed"]
    assert report["rows"] == len(bundle.reference().texts)
    assert report["max_logit_difference"] < 1e-4
    assert report["flipped_by_policy"] == {"f1": 0, "half": 0}
    assert report["decisions"] == report["rows"] * len(LABELS)
    assert report["sha256"] == sha256_file(bundle.onnx_dir / "model.onnx")
    assert content["bundle_seal"] == bundle.seal
    assert bundle.verification() == content


def test_predictions_are_those_of_the_trained_model_on_texts_it_was_not_verified_on(bundle_path):
    from shared.modeling.classifier import load_classifier

    export_bundle(Bundle.read(bundle_path), ["fp32"])
    predictor = Predictor.load(bundle_path)
    texts = sample_texts(20, seed=9)
    expected = trained_logits(load_classifier(bundle_path), predictor.tokenizer, texts)
    assert np.abs(predictor.logits(texts) - expected).max() < 1e-4


def test_the_attention_of_fp16_may_be_one_operator(bundle_path):
    export_bundle(Bundle.read(bundle_path), ["fp32"])
    main([str(bundle_path), "--precision", "fp16", "--fused-attention"])
    fused = onnx.load(bundle_path / "onnx" / "model_fp16.onnx")
    assert "MultiHeadAttention" in {node.op_type for node in fused.graph.node}
    texts = sample_texts(20, seed=9)
    exact, half = (Predictor.load(bundle_path, precision=name).logits(texts) for name in ("fp32", "fp16"))
    assert 0 < np.abs(exact - half).max() < 5e-2


def test_nothing_is_written_when_the_export_differs_from_the_trained_model(bundle_path):
    reference = Bundle.read(bundle_path).reference()
    logits = reference.logits.copy()
    logits[7, 2] += 0.01
    reseal(bundle_path, logits)
    with pytest.raises(VerificationError, match=r"max \|logit difference\| is 0\.01, allowed 0\.0001"):
        export_bundle(Bundle.read(bundle_path), ["fp32"])
    assert not (bundle_path / "onnx").exists()
    assert not list(bundle_path.glob(".onnx*"))


def test_a_failed_export_leaves_the_earlier_one_untouched(bundle_path, monkeypatch):
    export_bundle(Bundle.read(bundle_path), ["fp32"])
    before = {path.name: sha256_file(path) for path in (bundle_path / "onnx").iterdir()}
    monkeypatch.setattr("serving.exporting.onnx_models.save", lambda model, path: path.write_bytes(b"half a mod"))
    with pytest.raises(VerificationError, match="cannot be loaded by ONNX Runtime"):
        export_bundle(Bundle.read(bundle_path), ["fp32"])
    assert {path.name: sha256_file(path) for path in (bundle_path / "onnx").iterdir()} == before


def test_one_changed_weight_fails_the_export(bundle_path, monkeypatch):
    def save_changed(model, path):
        weight = next(entry for entry in model.graph.initializer if entry.name == "layer_0/attention/query.weight")
        array = numpy_helper.to_array(weight).copy()
        array[3, 5] += 1.0
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        onnx.save(model, path)

    monkeypatch.setattr("serving.exporting.onnx_models.save", save_changed)
    with pytest.raises(VerificationError, match=r"max \|logit difference\| is .*, allowed 0.0001"):
        export_bundle(Bundle.read(bundle_path), ["fp32"])


@pytest.mark.parametrize(("family", "pooling"), [("deberta-v2", "mean"), ("bert", "cls"), ("roberta", "mean")])
def test_other_poolings_and_architectures_export_too(tmp_path, family, pooling, capsys):
    path = exportable_bundle(tmp_path / "bundle", rows=12, family=family, pooling=pooling)
    if family != "deberta-v2":
        optimum_or_skip()
    export_bundle(Bundle.read(path), ["fp32"])
    assert ("exporting through optimum" in capsys.readouterr().out) == (family != "deberta-v2")
    assert Predictor.load(path).precision == "fp32"


def test_the_command_prints_a_line_a_model(bundle_path, capsys):
    main([str(bundle_path), "--precision", "fp32"])
    said = capsys.readouterr().out
    assert said.startswith("fp32: passed, model.onnx")
    assert "0 of 240 decisions flipped under policy f1, 0 under all 2 policies together" in said


def test_every_precision_is_judged_by_its_own_tolerance_and_the_best_is_served(bundle_path, monkeypatch):
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(None, None, 0.05, 0.05))  # one of 60 rows is more than 0.005
    content = export_bundle(Bundle.read(bundle_path), ["fp16", "int8", "fp32"], int8_flips=1.0)
    reports = content["precisions"]
    assert list(reports) == ["fp32", "int8", "fp16"]
    assert reports["fp32"]["max_logit_difference"] < 1e-4 < reports["fp16"]["max_logit_difference"] < 5e-2
    assert reports["int8"]["tolerances"]["max_macro_f1_loss"] == 0.05
    assert reports["int8"]["left_out"] == {}
    assert set(reports["int8"]["sensitivity"]["rms_logit_difference"]) >= {"embeddings", "layer_1/feed_forward/up"}
    predictor = Predictor.load(bundle_path)
    assert predictor.precision == "int8"
    assert verify_bundle(predictor.bundle)["precisions"]["int8"]["sensitivity"] == reports["int8"]["sensitivity"]


def test_a_model_too_large_for_one_file_is_verified_with_its_weights(bundle_path, monkeypatch):
    monkeypatch.setattr("serving.exporting.onnx_models.MAX_FILE_BYTES", 10_000)
    content = export_bundle(Bundle.read(bundle_path), ["fp32"])
    assert list(content["precisions"]["fp32"]["data_files"]) == ["model.onnx.data"]
    assert Predictor.load(bundle_path).precision == "fp32"
    data = bundle_path / "onnx" / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"\x40")
    with pytest.raises(VerificationError, match=r"onnx/model\.onnx\.data in .* changed after it was verified"):
        Predictor.load(bundle_path)
    with pytest.raises(VerificationError, match=r"model\.onnx is not the file that was exported"):
        verify_bundle(Bundle.read(bundle_path))


def test_models_whose_verification_holds_are_kept(bundle_path, monkeypatch):
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(None, None, 0.05, 0.05))
    export_bundle(Bundle.read(bundle_path), ["fp32", "int8"], int8_flips=1.0)
    digest = sha256_file(bundle_path / "onnx" / "model_int8.onnx")
    content = export_bundle(Bundle.read(bundle_path), ["fp16"])
    assert set(content["precisions"]) == {"fp32", "int8", "fp16"}
    assert sha256_file(bundle_path / "onnx" / "model_int8.onnx") == digest
    with (bundle_path / "onnx" / "model_int8.onnx").open("ab") as stream:
        stream.write(b"\0")
    content = export_bundle(Bundle.read(bundle_path), ["fp32"])
    assert set(content["precisions"]) == {"fp32", "fp16"}
    assert sorted(path.name for path in (bundle_path / "onnx").iterdir()) == [
        "model.onnx", "model_fp16.onnx", "verification.json",
    ]  # fmt: skip


def test_an_int8_model_that_loses_too_much_fails_and_says_by_how_much(bundle_path, monkeypatch):
    strict = Tolerance(1e-6, None, 1.0, 1.0)  # the logits alone fail
    monkeypatch.setitem(TOLERANCES, "int8", strict)
    with pytest.raises(
        VerificationError,
        match=r"the int8 export of .* failed its verification even with .* left in fp32, so nothing was written: "
        r"max \|logit difference\| is 0\.\d+, allowed 1e-06. Leave int8 out: --precision fp32",
    ):
        export_bundle(Bundle.read(bundle_path), ["fp32", "int8"])
    assert not (bundle_path / "onnx").exists()


def test_the_most_sensitive_parts_stay_in_fp32_when_int8_loses_too_much(bundle_path, monkeypatch):
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(None, None, 1.0, 1.0))
    whole = export_bundle(Bundle.read(bundle_path), ["int8"], int8_flips=1.0)["precisions"]["int8"]
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(0.8 * whole["max_logit_difference"], None, 1.0, 1.0))
    report = export_bundle(Bundle.read(bundle_path), ["int8"], int8_flips=1.0)["precisions"]["int8"]
    sensitivity = report["sensitivity"]["rms_logit_difference"]
    assert report["passed"]
    assert report["left_out"]
    assert report["max_logit_difference"] <= 0.8 * whole["max_logit_difference"]
    first, reason = next(iter(report["left_out"].items()))
    assert reason.startswith(
        f"alone in int8 it changes the logits by {sensitivity[first]:.3g} (rms); with it max |logit"
    )


def test_parts_stay_in_fp32_until_few_decisions_flip_or_the_fastest_is_kept_and_said(bundle_path, monkeypatch, capsys):
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(None, None, 1.0, 1.0))
    flips = iter([7, 2])

    def counted(*given, **options):
        return {**verify_model(*given, **options), "flipped_decisions": next(flips)}

    monkeypatch.setattr("serving.exporting.int8.verify_model", counted)
    report = export_bundle(Bundle.read(bundle_path), ["int8"], int8_flips=0.01)["precisions"]["int8"]
    assert report["flip_budget"] == {"share": 0.01, "allowed": 2, "kept": True}  # of 240 decisions
    reasons = report["left_out"].values()
    assert reasons
    assert all(reason.endswith("with it 7 decisions flip") for reason in reasons)
    assert f"within the 2 that may flip; {len(reasons)} parts left in fp32" in capsys.readouterr().out
    flips = iter([9] * 99)
    report = export_bundle(Bundle.read(bundle_path), ["int8"])["precisions"]["int8"]
    assert report["flip_budget"] == {"share": 0.0005, "allowed": 1, "kept": False}
    assert report["left_out"] == {}
    assert "MORE THAN the 1 that may flip; 0 parts left in fp32" in capsys.readouterr().out


def test_a_share_of_flips_is_between_0_and_1(bundle_path):
    with pytest.raises(ConfigError, match=r"argument --int8-flips: '7' is not a number from 0 to 1"):
        main([str(bundle_path), "--int8-flips", "7"])


def test_an_unknown_precision_is_refused(bundle_path):
    with pytest.raises(ConfigError, match=r"unknown precision 'int4'. Allowed: fp32, int8, fp16"):
        main([str(bundle_path), "--precision", "int4"])


def reseal(path, logits):
    """Give a bundle other reference logits."""
    reference = Bundle.read(path).reference()
    changed = Reference(reference.row_ids, reference.texts, reference.labels, reference.known, logits, reference.split)
    changed.write(path / "reference.npz")
    manifest = Bundle.read(path, check_files=False).manifest
    (path / "bundle.json").unlink()
    seal(
        path, labels=LABELS, task="multi_label", pooling=manifest.pooling, max_length=MAX_LENGTH,
        head_tokens=manifest.head_tokens, provenance={},
    )  # fmt: skip
