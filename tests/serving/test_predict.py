"""Offline prediction: sentences and files, and one clear line for every mistake."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from serving.predict import main
from serving.predictor import Predictor
from shared.bundle import Bundle, seal
from shared.calibration import Calibration
from shared.errors import ConfigError, DataError, DataNotFoundError, InvalidInputError
from shared.profiles import Profile
from shared.thresholds import Policies
from tests.serving.bundles import stand_in_bundle

TEXTS = ["i am so happy", "the “old” dog, sad", "thanks!"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("stand_in") / "bundle")


def expected(path, texts=TEXTS):
    predictor = Predictor.load(path)
    return predictor, predictor.probabilities(predictor.logits(texts))


def test_sentences_are_shown_with_their_likeliest_labels(path, capsys):
    predictor, probabilities = expected(path)
    main([str(path), "--text", TEXTS[0], "--text", TEXTS[2]])
    lines = capsys.readouterr().out.splitlines()
    best = probabilities[0].argmax()
    assert lines[0] == TEXTS[0]
    assert predictor.labels[best] in lines[1]
    assert f"{probabilities[0].max():.3f}" in lines[1]
    assert TEXTS[2] in lines
    assert sum(line.startswith("  *") for line in lines) == sum(
        int((row >= predictor.policies.get()).sum()) for row in probabilities[[0, 2]]
    )


def test_json_holds_every_probability(path, capsys):
    predictor, probabilities = expected(path)
    main([str(path), "--text", TEXTS[1], "--json", "--policy", "half"])
    content = json.loads(capsys.readouterr().out)
    assert content["text"] == TEXTS[1]
    assert set(content["labels"]) == {
        name for name, p in zip(predictor.labels, probabilities[1], strict=True) if p >= 0.5
    }
    assert [content["probabilities"][name] for name in predictor.labels] == pytest.approx(
        probabilities[1].tolist(), abs=1e-6
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("source", [".jsonl", ".csv", ".parquet"])
def test_files_keep_their_rows_and_gain_labels_and_probabilities(path, tmp_path, source, suffix):
    predictor, probabilities = expected(path)
    table = pd.DataFrame({"id": ["07", "08", "09", "10"], "text": [*TEXTS, None]})
    given, written = tmp_path / f"in{source}", tmp_path / f"out{suffix}"
    {".csv": lambda: table.to_csv(given, index=False), ".parquet": lambda: table.to_parquet(given)}.get(
        source, lambda: table.to_json(given, orient="records", lines=True)
    )()
    main([str(path), "--input", str(given), "--output", str(written)])
    found = {".csv": pd.read_csv, ".parquet": pd.read_parquet}.get(suffix, lambda p: pd.read_json(p, lines=True))(
        written
    )
    assert found["id"].astype(str).str.zfill(2).tolist() == ["07", "08", "09", "10"]
    columns = [f"p_{name}" for name in predictor.labels]
    np.testing.assert_allclose(found[columns].to_numpy(dtype=float)[:3], probabilities, atol=1e-8)
    assert found[columns].iloc[3].isna().all()
    decided = predictor.bundle.label_set.names_of(probabilities >= predictor.policies.get())
    labels = found["predicted_labels"].fillna("") if suffix == ".csv" else found["predicted_labels"].map("|".join)
    assert labels.tolist() == ["|".join(row) for row in decided] + [""]


def test_numbers_with_leading_zeros_survive_a_csv(path, tmp_path):
    (tmp_path / "in.csv").write_text('id,text\n007,"hello, you"\n')
    main([str(path), "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv")])
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith('007,"hello, you",')


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], ConfigError, "give either --text or --input"),
        (["--text", "a", "--input", "b.csv"], ConfigError, "give either --text or --input"),
        (["--input", "in.csv"], ConfigError, "--input needs --output"),
        (["--input", "in.xls", "--output", "o.csv"], ConfigError, "cannot tell the format of in.xls"),
        (["--input", "gone.csv", "--output", "o.csv"], DataNotFoundError, "no input file at gone.csv"),
        (["--text", "a", "--policy", "best"], InvalidInputError, "unknown policy 'best'. Allowed: f1, half"),
        (["--text", "a", "--threads", "0"], ConfigError, "argument --threads: '0' is not a whole number of 1 or more"),
        (["--text", "a", "--bogus"], ConfigError, "unrecognized arguments: --bogus"),
    ],
)
def test_mistakes_on_the_command_line(path, arguments, error, message):
    with pytest.raises(error, match=message):
        main([str(path), *arguments])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", b"words\nhello\n", r"has no column 'text' \(columns: words\). Name the column with --text_column"),
        ("in.csv", "text\ncaf\xe9\n".encode("latin-1"), "is not UTF-8"),
        ("in.csv", b"", r"in.csv is empty\."),
        ("in.jsonl", b'{"text": "a"\n', r"in.jsonl, line 1: not valid JSON"),
        ("in.parquet", b"no parquet", "is not readable as Parquet: Parquet magic bytes not found"),
    ],
)
def test_files_that_cannot_be_read(path, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        main([str(path), "--input", str(tmp_path / name), "--output", str(tmp_path / "out.csv")])
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_mistake_is_one_line_and_a_non_zero_exit(path, tmp_path):
    broken = shutil.copytree(path, tmp_path / "bundle")
    (broken / "onnx" / "verification.json").unlink()
    command = [sys.executable, "-m", "serving.predict", str(broken), "--text", "hello"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert f"Run: python -m serving.export {broken}" in result.stderr


def test_a_profile_of_the_bundle_decides_when_it_is_named(path, tmp_path, capsys):
    shutil.copytree(path, tmp_path / "bundle")
    bundle, labels = Bundle.read(path), Bundle.read(path).manifest.labels
    calibration = Calibration("temperature", np.full(len(labels), 3.0))
    Profile(calibration, Policies(labels, {"f1": np.full(len(labels), 0.45)}, "tweets"), {}).write(
        tmp_path / "bundle" / "profiles" / "tweets"
    )
    sealed = seal(
        tmp_path / "bundle", labels=labels, task="multi_label", pooling="mean", max_length=bundle.manifest.max_length,
        head_tokens=bundle.manifest.head_tokens, normalisation=bundle.manifest.normalisation, provenance={},
    )  # fmt: skip
    verification = sealed.onnx_dir / "verification.json"
    verification.write_text(json.dumps({**sealed.verification(), "bundle_seal": sealed.seal}))
    predictor = Predictor.load(sealed.path)
    probabilities = calibration.apply(predictor.logits(TEXTS[:1]))[0]
    main([str(sealed.path), "--text", TEXTS[0], "--json", "--profile", "tweets"])
    content = json.loads(capsys.readouterr().out)
    expected = sorted(probabilities.tolist(), reverse=True)
    assert list(content["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
    assert set(content["labels"]) == {name for name, p in zip(labels, probabilities, strict=True) if p >= 0.45}
    with pytest.raises(InvalidInputError, match="profile: unknown for this bundle. Allowed: default, tweets"):
        main([str(sealed.path), "--text", TEXTS[0], "--profile", "letters"])


@pytest.mark.parametrize("option", ["--explain", "--json"])
def test_reasons_and_json_are_of_single_texts(option):
    with pytest.raises(ConfigError, match=rf"{option} goes with --text\."):
        main(["bundle", "--input", "a.csv", "--output", "b.csv", option])


def test_sentences_and_reasons_are_printed(tmp_path, capsys):
    bundle = stand_in_bundle(tmp_path / "bundle")
    main([str(bundle), "--text", "I am happy. You are sad.", "--segments", "sentence", "--explain"])
    shown = capsys.readouterr().out
    assert "[0:11] I am happy." in shown
    assert "[12:24] You are sad." in shown
