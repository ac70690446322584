"""`emotion adapt` and `Model.adapt`: a sealed child whose decisions fit the rows, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import emotion_classifiers as ec
from emotion_classifiers.adapt import main
from emotion_classifiers.adapting.inputs import read_frequencies, read_unlabelled
from serving.predictor import Predictor
from shared.bundle import Bundle, seal
from shared.errors import ConfigError, DataFormatError, DataNotFoundError, EmptyDataError
from shared.profiles import Profile, for_language
from tests.helpers import WORDS
from tests.serving.bundles import stand_in_bundle
from training.adapting.adapt import Evidence, adapt
from training.adapting.child import parent_of, write_child

LABELS = ("joy", "sadness", "anger", "neutral")


@pytest.fixture
def bundle(tmp_path):
    return stand_in_bundle(tmp_path / "bundle", labels=LABELS)


def rows(bundle, count=120, seed=0):
    """Texts whose labels follow the model's own logits, but at other frequencies than it believes in."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS, 8)) + f" {number}" for number in range(count)]
    logits = Predictor.load(bundle, threads=1).logits(texts)
    truth = draw.random(logits.shape) < 1 / (1 + np.exp(-(3 * logits - 2)))
    return pd.DataFrame({"text": texts, **{name: truth[:, i].astype(int) for i, name in enumerate(LABELS)}})


def adapted(argv, capsys):
    assert main([str(word) for word in argv]) == 0
    *page, line = capsys.readouterr().out.splitlines()
    return json.loads(line), "\n".join(page)


def test_a_child_decides_for_the_rows_and_is_the_parent_in_all_else(bundle, tmp_path, capsys):
    rows(bundle).to_csv(tmp_path / "mine.csv", index=False)
    content, page = adapted([bundle, "--data", tmp_path / "mine.csv", "--threads", "1"], capsys)
    child, parent = Bundle.read(content["bundle"]), Bundle.read(bundle)
    assert child.path == tmp_path / "bundle-adapted"
    assert (content["seal"], content["parent"], content["kept_parent"]) == (child.seal, parent.seal, False)
    assert child.manifest.provenance["parent"] == parent.seal
    own = child.manifest.provenance["adapted"]
    assert (own["rows"], own["precision"], own["kept_parent"]) == (120, "fp32", False)
    assert own["data_fingerprint"]
    assert child.calibration.method == "bias_corrected_temperature"
    assert child.calibration.after["nll"] < child.calibration.before["nll"]
    assert own["macro_f1"]["adapted"][0] > own["macro_f1"]["parent"][0]
    assert "| adapted |" in page
    metrics = child.metrics()
    assert metrics["adapted"]["num_examples"] == metrics["adapted_parent"]["num_examples"] == 120
    assert metrics["adapted"]["nll"] < metrics["adapted_parent"]["nll"]
    for name in ("model.safetensors", "tokenizer.json", "reference.npz", "onnx/model.onnx"):
        assert (child.path / name).samefile(parent.path / name), name
    added = [file for file in child.path.rglob("*") if file.is_file() and file.stat().st_nlink == 1]
    assert sum(file.stat().st_size for file in added) < 100_000


def test_the_verification_is_carried_over_and_still_refuses_a_changed_model(bundle, tmp_path, capsys):
    rows(bundle).to_csv(tmp_path / "mine.csv", index=False)
    content, _ = adapted([bundle, "--data", tmp_path / "mine.csv", "--output", tmp_path / "child"], capsys)
    child = Bundle.read(tmp_path / "child")
    verification = child.verification()
    assert (verification["bundle_seal"], verification["carried_over_from"]) == (child.seal, content["parent"])
    texts = ["i am happy", "sad and tired"]
    before, after = (Predictor.load(path, threads=1) for path in (bundle, child.path))
    np.testing.assert_array_equal(before.logits(texts), after.logits(texts))
    assert not np.allclose(before.probabilities(before.logits(texts)), after.probabilities(after.logits(texts)))
    model = child.onnx_dir / "model.onnx"
    changed = model.read_bytes() + b" "
    model.unlink()
    model.write_bytes(changed)
    with pytest.raises(ec.errors.VerificationError):
        Predictor.load(child.path)


def test_from_python_a_frame_gives_a_model_that_decides_for_it(bundle, tmp_path):
    model = ec.load(bundle, threads=1)
    frame = rows(bundle)
    child = model.adapt(frame, output=str(tmp_path / "child"), threads=1)
    assert child.path == tmp_path / "child"
    assert child.evaluate(frame).nll < model.evaluate(frame).nll
    assert child.predict(["i am happy"])[0].error is None


def test_from_python_texts_and_frequencies_are_taken_as_they_are_in_hand(bundle, tmp_path, capsys):
    model = ec.load(bundle, threads=1)
    texts = list(rows(bundle)["text"])
    child = model.adapt(unlabelled=texts, frequencies={"joy": 0.3}, output=tmp_path / "a")
    pd.DataFrame({"text": texts}).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "f.yaml").write_text("joy: 0.3")
    adapted([bundle, "--unlabelled", tmp_path / "t.csv", "--frequencies", tmp_path / "f.yaml", "--threads", "1",
             "--output", tmp_path / "b"], capsys)  # fmt: skip
    found, wanted = child.predictor.bundle, Bundle.read(tmp_path / "b")
    np.testing.assert_allclose(found.calibration.biases, wanted.calibration.biases, rtol=0, atol=1e-12)
    assert found.policies.fitted_on == wanted.policies.fitted_on
    with pytest.raises(ConfigError, match="^frequencies: unknown label 'joyy'. Did you mean 'joy'?"):
        model.adapt(frequencies={"joyy": 0.3}, output=tmp_path / "c")
    with pytest.raises(ConfigError, match="Call suggest for texts to label"):
        model.adapt(unlabelled=texts, suggest=5, output=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_the_variables_of_a_training_name_no_rows(bundle, tmp_path, monkeypatch, capsys):
    frame = rows(bundle)
    frame.to_csv(tmp_path / "train.csv", index=False)
    monkeypatch.setenv("EMOTION_TRAIN_CONFIG", "goemotions_starter")
    monkeypatch.setenv("EMOTION_TRAIN_DATA__PATH", str(tmp_path / "train.csv"))
    monkeypatch.setenv("EMOTION_TRAIN_DATA__TEXT_COLUMN", "body")
    (tmp_path / "f.yaml").write_text("joy: 0.5\nanger: 0.1")
    said, _ = adapted([bundle, "--frequencies", tmp_path / "f.yaml", "--threads", "1"], capsys)
    model = ec.load(bundle, threads=1)
    child = model.adapt(frequencies={"joy": 0.5, "anger": 0.1}, output=tmp_path / "child")
    assert said["fitted_on"] == child.predictor.bundle.policies.fitted_on == "adapted to known frequencies"
    assert len(model.suggest(frame["text"], 5)) == 5
    assert model.evaluate(frame).num_examples == 120


def test_from_python_the_texts_that_the_command_would_write_are_suggested(bundle, tmp_path, capsys):
    frame = rows(bundle)
    frame[["text"]].to_csv(tmp_path / "t.csv", index=False)
    adapted([bundle, "--suggest", "20", tmp_path / "t.csv", "--threads", "1"], capsys)
    model = ec.load(bundle, threads=1)
    suggested = model.suggest(frame["text"], 20)
    assert suggested == pd.read_csv(tmp_path / "t-suggested.csv")["text"].tolist()
    more = model.suggest(frame["text"], 20, labelled=frame[frame["text"].isin(suggested)])
    assert len(more) == 20
    assert not set(more) & set(suggested)
    unusual = ["i am sad \0 today", "so happy, " * 14_000, 'a "quoted"\r\nline', " so angry "]
    assert sorted(model.suggest(unusual, 4)) == sorted(unusual)
    with pytest.raises(ConfigError, match="suggest writes no table"):
        model.suggest(frame["text"], 20, output=tmp_path / "mine.csv")


def test_blank_cells_are_unknown_and_their_label_keeps_the_parents(bundle, tmp_path):
    frame = rows(bundle).astype({"anger": "object"})
    frame["anger"] = None
    child = ec.load(bundle, threads=1).adapt(frame.drop(columns="anger"), output=str(tmp_path / "child"))
    parent = Bundle.read(bundle)
    after = child.predictor.bundle
    assert after.calibration.temperatures[2] == parent.calibration.temperatures[2]
    assert after.calibration.biases[2] == 0
    assert after.policies.get()[2] == parent.policies.get()[2]


def test_frequencies_and_texts_alone_are_enough(bundle, tmp_path, capsys):
    frame = rows(bundle, 400)
    frame[["text"]].to_csv(tmp_path / "texts.csv", index=False)
    (tmp_path / "f.yaml").write_text("joy: 0.5\nanger: 0.1\n")
    said, _ = adapted([bundle, "--frequencies", tmp_path / "f.yaml", "--output", tmp_path / "one"], capsys)
    assert (said["fitted_on"], said["macro_f1"]) == ("adapted to known frequencies", None)
    seen, _ = adapted([bundle, "--unlabelled", tmp_path / "texts.csv", "--frequencies", tmp_path / "f.yaml",
                       "--output", tmp_path / "two"], capsys)  # fmt: skip
    assert seen["fitted_on"] == "adapted to 400 unlabelled texts and known frequencies"
    predictor = Predictor.load(tmp_path / "two", threads=1)
    shares = predictor.probabilities(predictor.logits(frame["text"].tolist())).mean(axis=0)
    assert shares[[0, 2]] == pytest.approx([0.5, 0.1], abs=1e-3)


def test_rows_that_say_nothing_keep_the_parent_and_that_is_said(bundle, tmp_path, capsys):
    frame = rows(bundle, 40)
    parent = Predictor.load(bundle, threads=1)
    p = parent.probabilities(parent.logits(frame["text"].tolist()))
    truth = np.random.default_rng(3).random(p.shape) < p
    frame[list(LABELS)] = truth.astype(int)
    frame.to_csv(tmp_path / "same.csv", index=False)
    content, page = adapted([bundle, "--data", tmp_path / "same.csv", "--output", tmp_path / "child"], capsys)
    assert content["kept_parent"]
    assert "40 rows gave no reason to change what was there: it is kept." in page
    child, before = Bundle.read(tmp_path / "child"), Bundle.read(bundle)
    assert (child.policies.get() == before.policies.get()).all()
    assert child.calibration.method == before.calibration.method


def test_a_profile_stands_beside_the_decisions_of_the_bundle(bundle, tmp_path, capsys):
    frame = rows(bundle)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "f.yaml").write_text("joy: 0.5\n")
    one, _ = adapted([bundle, "--data", tmp_path / "mine.csv", "--profile", "tweets", "--output", tmp_path / "one",
                      "--threads", "1"], capsys)  # fmt: skip
    adapted([tmp_path / "one", "--frequencies", tmp_path / "f.yaml", "--profile", "said", "--output",
             tmp_path / "two"], capsys)  # fmt: skip
    assert one["profile"] == "tweets"
    parent, child = Bundle.read(bundle), Bundle.read(tmp_path / "two")
    assert child.profile_names == ("default", "said", "tweets")
    assert (child.policies.get() == parent.policies.get()).all()
    assert child.profiles["tweets"].about["rows"] == 120
    assert child.profiles["tweets"].about["adapted"]["num_examples"] == 120
    assert len(child.profiles["tweets"].drift.logits) == 120
    assert child.profiles["said"].drift is None
    before, model = ec.load(bundle, threads=1), ec.load(tmp_path / "two", threads=1)
    alone = before.adapt(frame, output=str(tmp_path / "alone"), threads=1)
    texts = frame["text"].tolist()[:5]
    assert model.profiles == ("default", "said", "tweets")
    np.testing.assert_array_equal(model.predict_proba(texts), before.predict_proba(texts))
    np.testing.assert_array_equal(model.predict_proba(texts, profile="tweets"), alone.predict_proba(texts))
    assert model.predict(texts) == before.predict(texts)
    assert model.predict(texts, profile="tweets") == alone.predict(texts)
    with pytest.raises(ec.errors.InvalidInputError, match="profile: unknown.*Allowed: default, said, tweets"):
        model.predict(texts, profile="letters")
    again, _ = adapted([tmp_path / "two", "--frequencies", tmp_path / "f.yaml", "--profile", "tweets", "--output",
                        tmp_path / "three"], capsys)  # fmt: skip
    assert Bundle.read(again["bundle"]).profiles["tweets"].drift is None


def test_mistakes_are_told_with_what_is_allowed(bundle, tmp_path):
    with pytest.raises(ConfigError, match="--text_column names the column of --unlabelled, which is not given"):
        main([str(bundle), "--text_column", "words"])
    with pytest.raises(ConfigError, match="nothing to adapt to"):
        main([str(bundle)])
    (tmp_path / "bundle-adapted").mkdir()
    (tmp_path / "f.yaml").write_text("joy: 0.5\n")
    with pytest.raises(ConfigError, match="is there already. Give another --output"):
        main([str(bundle), "--frequencies", str(tmp_path / "f.yaml")])
    for name in ("default", "My tweets", "../x", ""):
        with pytest.raises(ConfigError, match="a profile cannot be called.*Allowed: up to 40 of a-z"):
            main([str(bundle), "--frequencies", str(tmp_path / "f.yaml"), "--profile", name, "--output",
                  str(tmp_path / "new")])  # fmt: skip
    for content, message in (
        ("joi: 0.5", "unknown label 'joi'. Did you mean 'joy'"), ("joy: 30", "share of 'joy' is 30; allowed: a number"),
        ("joy: yes", "share of 'joy' is 'yes'"), ("- joy", "holds no frequencies"), ("joy: [", "is not YAML"),
    ):  # fmt: skip
        (tmp_path / "f.yaml").write_text(content)
        with pytest.raises(ConfigError, match=message):
            read_frequencies(str(tmp_path / "f.yaml"), LABELS)
    (tmp_path / "f.yaml").write_text("joy: 0.1\njoy: 0.2")
    with pytest.raises(ConfigError, match="f.yaml is not YAML: the key 'joy' stands twice"):
        read_frequencies(str(tmp_path / "f.yaml"), LABELS)
    (tmp_path / "f.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="f.yaml is not YAML"):
        read_frequencies(str(tmp_path / "f.yaml"), LABELS)
    with pytest.raises(DataNotFoundError, match="no file of frequencies at"):
        read_frequencies(str(tmp_path / "nowhere.yaml"), LABELS)
    (tmp_path / "texts.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataFormatError, match=r"has no column 'text' \(columns: a, b\).*--text_column"):
        read_unlabelled(tmp_path / "texts.csv", None)
    (tmp_path / "texts.csv").write_text('text\n" "\n')
    with pytest.raises(EmptyDataError, match=r"the column 'text' of .*texts\.csv holds no text"):
        read_unlabelled(tmp_path / "texts.csv", None)


def test_a_label_that_only_ever_has_a_yes_is_left_alone(bundle, tmp_path, capsys):
    frame = rows(bundle, 40)[["text", "joy", "sadness"]].assign(joy=1)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    content, _ = adapted([bundle, "--data", tmp_path / "mine.csv", "--output", tmp_path / "child"], capsys)
    assert any("a yes in every row where they are known are not adapted: joy. Say no (0)" in note
               for note in content["notes"])  # fmt: skip
    parent, child = (Bundle.read(path).policies.get()[0] for path in (bundle, tmp_path / "child"))
    assert parent == child
    frame[["text", "joy"]].to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(DataFormatError, match=r"every row that is labelled has a yes, for: joy\..* --data\.annotated"):
        main([str(bundle), "--data", str(tmp_path / "one.csv"), "--output", str(tmp_path / "other")])


def test_one_label_in_one_column_is_enough(bundle, tmp_path, capsys):
    rows(bundle, 40)[["text", "joy"]].to_csv(tmp_path / "mine.csv", index=False)
    content, _ = adapted([bundle, "--data", tmp_path / "mine.csv", "--output", tmp_path / "child"], capsys)
    assert content["rows"] == 40
    assert "label column 'joy' (one 0/1 column per label)" in content["notes"][0]


def test_adapting_loads_neither_torch_nor_scikit_learn(bundle, tmp_path):
    rows(bundle, 40).to_csv(tmp_path / "mine.csv", index=False)
    code = (
        "import sys; from emotion_classifiers.adapt import main\n"
        f"main([{str(bundle)!r}, '--data', {str(tmp_path / 'mine.csv')!r}])\n"
        "assert not {'torch', 'transformers', 'sklearn', 'pandas', 'scipy.stats'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_profile_that_is_there_is_adapted_from_what_it_decides_and_others_are_named(bundle, tmp_path, capsys):
    frame, parent = rows(bundle, 40), Bundle.read(bundle)
    own = replace(parent.policies, values={**parent.policies.values, "f1": np.full(len(LABELS), 0.11)})
    frame[list(LABELS)] = [[row % 2] * 4 for row in range(40)]  # whatever the texts are: no reason to change anything
    frame.to_csv(tmp_path / "mine.csv", index=False)
    both = write_profile(parent, tmp_path / "both", Profile(parent.calibration, own, {"language": "es"}))
    words = [both, "--data", tmp_path / "mine.csv", "--threads", "1", "--output"]
    content, _ = adapted([*words, tmp_path / "child", "--profile", "es"], capsys)
    assert content["kept_parent"]
    assert set(Bundle.read(tmp_path / "child").profiles["es"].policies.values["f1"]) == {0.11}
    content, page = adapted([*words, tmp_path / "other"], capsys)
    said = "the profiles of the bundle decide as before: es; adapt one with --profile and its name."
    assert content["notes"][-1] == said
    assert said in page


def write_profile(parent, folder, profile):
    """A copy of the bundle with a profile called es."""
    shutil.copytree(parent.path, folder)
    profile.write(folder / "profiles" / "es")
    manifest = parent.manifest
    sealed = seal(folder, labels=manifest.labels, task=manifest.task, pooling=manifest.pooling,
                  max_length=manifest.max_length, head_tokens=manifest.head_tokens, provenance={})  # fmt: skip
    report = {**sealed.verification(), "bundle_seal": sealed.seal}
    (sealed.onnx_dir / "verification.json").write_text(json.dumps(report))
    return folder


def test_a_profile_of_a_language_that_is_adapted_still_decides_texts_in_it(bundle, tmp_path):
    parent = Bundle.read(bundle)
    finnish = Profile(parent.calibration, parent.policies, {"language": "fi"})
    nothing = np.zeros((0, len(LABELS)))
    evidence = Evidence(
        nothing, nothing.astype(bool), nothing.astype(bool), unlabelled=nothing,
        frequencies=np.array([0.5, np.nan, np.nan, np.nan]),
    )  # fmt: skip
    child = write_child(
        replace(parent, profiles={"fi": finnish}), tmp_path / "child", adapt(parent_of(parent), evidence, 0), evidence,
        estimate=None, origin={}, profile="fi",
    )  # fmt: skip
    assert for_language(child.profiles, "fi") == "fi"
    assert "kept_parent" in child.profiles["fi"].about
