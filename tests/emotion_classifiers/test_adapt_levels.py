"""The levels of `emotion adapt` that change the network: its last layer, patched without torch, or every weight."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import emotion_classifiers as ec
from emotion_classifiers.adapt import main
from serving.export import export_bundle
from serving.exporting.last_layer import pooled_vectors
from serving.own_layer import OwnLayer
from serving.predictor import Predictor
from serving.verify import verify_bundle
from shared.bundle import Bundle, seal
from shared.errors import ConfigError, VerificationError
from shared.modeling.checkpoints import weights_digest
from shared.modeling.classifier import load_classifier
from shared.profiles import Profile
from tests.serving.exportable import LABELS, exportable_bundle, sample_texts, trained_logits

pytestmark = pytest.mark.slow

UNCHANGED = ("tokenizer.json", "config.json")


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Bundle:
    bundle = Bundle.read(exportable_bundle(tmp_path_factory.mktemp("levels") / "bundle"))
    export_bundle(bundle, ["fp32", "int8", "fp16"], threads=1)
    return bundle


@pytest.fixture(scope="module")
def rows(parent, tmp_path_factory):
    """A table whose labels follow another last layer than the parent's."""
    texts = list(dict.fromkeys(sample_texts(260, seed=5)))
    pooled, logits = pooled_vectors(Predictor.load(parent.path, precision="fp32", threads=1), texts)
    draw = np.random.default_rng(0)
    centred = pooled - pooled.mean(axis=0)
    change = centred @ draw.normal(size=(pooled.shape[1], len(LABELS)))
    truth = draw.random(logits.shape) < expit(logits + 2 * change / change.std(axis=0))
    frame = pd.DataFrame({"text": texts} | {name: truth[:, i].astype(int) for i, name in enumerate(LABELS)})
    path = tmp_path_factory.mktemp("rows") / "mine.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def head(parent, rows, tmp_path_factory):
    """The child of the level head, and what the command said; made in a process without torch."""
    target = tmp_path_factory.mktemp("head") / "child"
    code = (
        "import sys; from emotion_classifiers.adapt import main\n"
        f"main([{str(parent.path)!r}, '--data', {str(rows)!r}, '--level', 'head', '--output', {str(target)!r}, "
        "'--precision', 'int8', '--threads', '1'])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return Bundle.read(target), json.loads(done.stdout.splitlines()[-1])


def added_bytes(child: Bundle) -> int:
    """Of the files that it shares with nobody."""
    return sum(file.stat().st_size for file in child.path.rglob("*") if file.is_file() and file.stat().st_nlink == 1)


def test_the_last_layer_lies_beside_the_parents_weights_and_models(parent, head):
    child, content = head
    assert (content["level"], content["kept_parent"]) == ("head", False)
    assert child.manifest.provenance["parent"] == parent.seal
    assert child.manifest.provenance["adapted"]["last_layer_changed"]
    assert set(child.verification()["precisions"]) == {"fp32", "int8", "fp16"}
    assert all(report["passed"] for report in child.verification()["precisions"].values())
    for name in UNCHANGED:
        assert (child.path / name).samefile(parent.path / name)
    assert (child.path / "model-00001-of-00002.safetensors").samefile(parent.path / "model.safetensors")
    assert (child.onnx_dir / "model_int8.onnx").samefile(parent.onnx_dir / "model_int8.onnx")
    assert added_bytes(child) < 300_000
    assert weights_digest(child.path) == child.weights_sha256  # what a training that starts from it records
    texts = sample_texts(20, seed=9)
    trained = trained_logits(load_classifier(child.path), child.tokenizer(), texts)
    before = trained_logits(load_classifier(parent.path), parent.tokenizer(), texts)
    assert np.abs(trained - before).max() > 1
    for precision, allowed in (("fp32", 1e-4), ("int8", 1.0), ("fp16", 0.05)):  # the logits reach 20
        served = Predictor.load(child.path, precision=precision, threads=1)
        np.testing.assert_allclose(served.logits(texts), trained, atol=allowed)


def test_the_reference_rows_are_what_the_childs_weights_say_of_them(head):
    child, _ = head
    rows = child.reference()
    np.testing.assert_allclose(
        rows.logits, trained_logits(load_classifier(child.path), child.tokenizer(), rows.texts), atol=1e-4
    )
    again = verify_bundle(child, threads=1)
    assert all(report["passed"] for report in again["precisions"].values())


def test_a_child_with_a_layer_that_is_not_its_own_is_refused(parent, head, tmp_path):
    import shutil

    child, _ = head
    onnx = tmp_path / "child" / "onnx"
    shutil.copytree(child.path, onnx.parent)
    own = OwnLayer.read(onnx / "model.onnx")
    (onnx / "model.onnx.layer.npz").unlink()
    with pytest.raises(VerificationError, match=r"onnx/model\.onnx\.layer\.npz is missing"):
        Predictor.load(onnx.parent, precision="fp32")
    with pytest.raises(VerificationError, match="exported from other weights"):
        verify_bundle(Bundle.read(onnx.parent), threads=1)
    OwnLayer({name: 2 * value for name, value in own.constants.items()}, own.weights_sha256).write(onnx / "model.onnx")
    with pytest.raises(VerificationError, match=r"model\.onnx is not the file that was exported, max"):
        verify_bundle(Bundle.read(onnx.parent), threads=1)


def test_a_child_of_a_child_has_the_network_of_the_first_and_one_layer(parent, rows, head, tmp_path):
    child, _ = head
    flipped = pd.read_csv(rows)
    flipped[LABELS[0]] = 1 - flipped[LABELS[0]]
    model = ec.load(child.path, precision="fp32", threads=1)
    again = model.adapt(flipped, level="head", output=str(tmp_path / "again"), threads=1).predictor.bundle
    assert again.manifest.provenance["parent"] == child.seal
    assert (again.path / "model-00001-of-00002.safetensors").samefile(parent.path / "model.safetensors")
    rows_of = again.reference()
    trained = trained_logits(load_classifier(again.path), again.tokenizer(), rows_of.texts)
    np.testing.assert_allclose(rows_of.logits, trained, atol=1e-3)  # the logits reach 60
    assert np.abs(trained - child.reference().logits).max() > 1
    export_bundle(again, ["fp32"], threads=1)  # a whole model in place of the layer beside it
    assert not list(again.onnx_dir.glob("model.onnx.layer*"))
    np.testing.assert_allclose(Predictor.load(again.path, precision="fp32").logits(rows_of.texts), trained, atol=1e-3)


def test_it_decides_better_than_thresholds_alone_on_rows_it_did_not_see(parent, rows, head, capsys):
    _, content = head
    assert main([str(parent.path), "--data", str(rows), "--level", "compare", "--folds", "0", "--threads", "1",
                 "--precision", "int8"]) == 0  # fmt: skip
    *page, line = capsys.readouterr().out.splitlines()
    levels = json.loads(line)["levels"]
    assert set(levels) == {"thresholds", "head"}
    assert levels["head"]["macro_f1"] == content["macro_f1"]
    assert levels["head"]["macro_f1"]["adapted"][0] > levels["thresholds"]["macro_f1"]["adapted"][0] + 0.05
    assert [row.split("|")[1].strip() for row in page if row.startswith("|")][2:] == ["parent", "thresholds", "head"]


def test_a_layer_that_gains_nothing_is_kept_and_that_is_said(parent, tmp_path, capsys):
    texts = list(dict.fromkeys(sample_texts(80, seed=11)))
    predictor = Predictor.load(parent.path, threads=1)
    p = predictor.probabilities(predictor.logits(texts))
    truth = np.random.default_rng(3).random(p.shape) < p
    frame = pd.DataFrame({"text": texts} | {name: truth[:, i].astype(int) for i, name in enumerate(LABELS)})
    frame.to_csv(tmp_path / "same.csv", index=False)
    main([str(parent.path), "--data", str(tmp_path / "same.csv"), "--level", "head", "--output",
          str(tmp_path / "child"), "--threads", "1"])  # fmt: skip
    assert "refitting the last layer gains nothing on these rows: it is kept." in capsys.readouterr().out
    assert (tmp_path / "child" / "model.safetensors").samefile(parent.path / "model.safetensors")


def test_a_child_that_is_there_is_refused_before_anything_is_read_or_trained(parent, tmp_path):
    (tmp_path / "child").mkdir()
    for level in ("thresholds", "head", "full"):
        with pytest.raises(ConfigError, match="child is there already. Give another --output, or remove it"):
            main([str(parent.path), "--data", str(tmp_path / "no.csv"), "--level", level, "--output",
                  str(tmp_path / "child")])  # fmt: skip


def test_what_a_level_cannot_do_is_said(parent, rows, tmp_path):
    some = [str(parent.path), "--data", str(rows), "--output", str(tmp_path / "new")]
    for more, message in (
        (["--level", "head", "--profile", "mine"], "a profile shares the bundle's network.*level head changes"),
        (["--level", "full", "--unlabelled", "x.csv"], "level full takes labelled rows alone"),
        (["--level", "compare", "--folds", "1"], "folds is 1; allowed: 0, or 2 and more"),
    ):
        with pytest.raises(ConfigError, match=message):
            main([*some, *more])
    with pytest.raises(ConfigError, match="level head needs labelled rows"):
        main([str(parent.path), "--level", "head"])
    few = pd.read_csv(rows).head(30)
    with pytest.raises(ConfigError, match="30 labelled rows are too few to train on; allowed: 50 or more"):
        ec.load(parent.path).adapt(few, level="full", output=str(tmp_path / "new"))


def test_profiles_of_another_network_are_left_out_and_that_is_said(parent, rows, tmp_path):
    import shutil

    shutil.copytree(parent.path, tmp_path / "both")
    Profile(parent.calibration, parent.policies, {}).write(tmp_path / "both" / "profiles" / "tweets")
    manifest = parent.manifest
    sealed = seal(
        tmp_path / "both", labels=LABELS, task=manifest.task, pooling=manifest.pooling, max_length=manifest.max_length,
        head_tokens=manifest.head_tokens, provenance={},
    )  # fmt: skip
    report = {**sealed.verification(), "bundle_seal": sealed.seal}
    (sealed.onnx_dir / "verification.json").write_text(json.dumps(report))
    model = ec.load(sealed.path, precision="fp32", threads=1)
    child = model.adapt(rows, level="head", output=str(tmp_path / "child"), threads=1).predictor.bundle
    assert child.profile_names == ("default",)
    note = "the profiles of the bundle are left out, as they are of its own network: tweets."
    assert child.manifest.provenance["adapted"]["notes"][-1] == note


def test_training_further_starts_from_the_parents_head_and_ends_in_a_verified_child(parent, rows, tmp_path, capsys):
    frame = pd.read_csv(rows).head(90)
    frame.loc[:30, "joy"] = np.nan
    frame.to_csv(tmp_path / "some.csv", index=False)
    assert main([str(parent.path), "--data", str(tmp_path / "some.csv"), "--level", "full", "--folds", "2",
                 "--output", str(tmp_path / "new" / "child"), "--threads", "1"]) == 0  # fmt: skip
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    child = Bundle.read(tmp_path / "new" / "child")
    assert content["level"] == "full"
    assert set(content["macro_f1"]) == {"adapted", "parent", "difference"}
    assert child.manifest.provenance["parent"] == parent.seal
    assert set(child.verification()["precisions"]) == {"fp32", "int8", "fp16"}
    assert child.manifest.labels == LABELS
    assert "were trained further from the bundle" in (child.path / "README.md").read_text()
    texts = sample_texts(20, seed=9)
    before, after = (trained_logits(load_classifier(each.path), each.tokenizer(), texts) for each in (parent, child))
    assert np.abs(after - before).max() > 0.1
    assert "keep_head: true" in (child.path / "training.yaml").read_text()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["child"]
