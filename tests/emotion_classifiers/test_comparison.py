"""`emotion compare`: bundles, runs and precisions on the same rows."""

import json
import shutil

import pytest
import torch
import yaml

from emotion_classifiers.comparison import main
from shared.bundle import Bundle, seal
from shared.context import ContextFormat, Turn, with_context
from shared.errors import ConfigError, DataFormatError
from shared.thresholds import Policies
from tests.serving.bundles import stand_in_bundle
from tests.serving.exportable import LABELS, exportable_bundle
from training.config.parser import load as load_config
from training.data.load import load_data
from training.evaluation.compare_bundles import stored_logits


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    from serving.export import main as export

    folder = tmp_path_factory.mktemp("compared")
    first = exportable_bundle(folder / "run" / "bundle")
    export([str(first), "--precision", "fp32", "int8"])
    return first, exportable_bundle(folder / "other", hidden_size=48)


def run(capsys, *words):
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr()
    return json.loads(said.out.splitlines()[-1]), said.err


def test_an_exported_model_is_compared_with_the_trained_one_on_the_reference_rows(bundles, capsys, tmp_path):
    first, _ = bundles
    found, said = run(
        capsys, first.parent, f"{first}@fp32", f"{first}@int8", "--bootstrap_samples=50", "--threads=2",
        f"--output={tmp_path / 'out'}",
    )  # fmt: skip
    assert torch.get_num_threads() == 1  # of the process, whatever a model was asked to compute with
    assert found["rows"] == len(Bundle.read(first).reference().texts)
    fp32 = found["against_first"][0]
    assert fp32["agreement"]["decisions"] == 1
    assert all(row["better"] is None for row in fp32["gains"].values())
    sizes = [row["cost"]["size_mb"] for row in found["candidates"]]
    assert sizes[2] < sizes[1]
    assert all(row["cost"]["texts_per_s"] > 0 for row in found["candidates"])
    assert "the others are compared with this one" in said
    assert json.loads((tmp_path / "out/comparison.json").read_text()) == found
    page = (tmp_path / "out/report.html").read_text()
    assert "McNemar" in page
    assert "src=" not in page


def test_two_bundles_are_compared_without_timing_from_the_logits_they_hold(bundles, capsys):
    first, other = bundles
    found, _ = run(capsys, first, other, "--timing=false", "--bootstrap_samples=20", "--policy=half")
    assert [row["cost"] for row in found["candidates"]] == [{}, {}]
    assert {row["policy"] for row in found["candidates"]} == {"half"}
    assert found["against_first"][0]["name"] == str(other)


def test_logits_that_a_bundle_holds_are_those_of_the_turns_before_too(tmp_path):
    texts = [with_context("i am happy", [Turn("x"), Turn(said)]) for said in "ab"]
    bundle = Bundle.read(stand_in_bundle(tmp_path / "b", texts=texts, context=ContextFormat(8, 1)))
    assert stored_logits(bundle, [with_context("i am happy", [Turn(said)]) for said in "ab"]) is not None
    assert stored_logits(bundle, [with_context("i am happy", [Turn(said)]) for said in "ba"]) is None
    assert stored_logits(bundle, ["i am happy"] * 2) is None


def test_rows_may_come_from_a_table(bundles, capsys, tmp_path):
    first, other = bundles
    table = tmp_path / "t.jsonl"
    rows = [{"text": f"i feel {word} {i}", "labels": [label]} for i in range(15)
            for word, label in (("happy", "joy"), ("sad", "sadness"))]  # fmt: skip
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, _ = run(
        capsys, first, other, "--timing=false", "--bootstrap_samples=20", "--data.source=table", f"--data.path={table}"
    )  # fmt: skip
    assert found["rows"] == 30
    assert found["on"] == "all of the data given"
    assert any("label column 'labels'" in note for note in found["notes"])


def test_of_the_rows_that_a_bundle_was_trained_on_the_held_out_ones_are_compared(bundles, capsys, tmp_path):
    first, other = bundles
    table = tmp_path / "t.csv"
    table.write_text("text,label\n" + "".join(f"i feel this {i},{LABELS[i % 4]}\n" for i in range(60)))
    config = load_config(None, {"data.source": "table", "data.path": str(table), "data.seed": 3})
    splits = load_data(config.data)
    origin = {"fingerprint": splits.fingerprint, "sources": [{"kind": "table", "origin": table.name}]}
    trained = with_labels(first, tmp_path / "trained", LABELS, {"data": origin}, config)
    words = (other, trained, "--timing=false", "--bootstrap_samples=2", "--threads=1", "--data.source=table",
             f"--data.path={table}")  # fmt: skip
    found, said = run(capsys, *words)
    assert (found["rows"], found["on"]) == (len(splits.test), "test of the data given")
    assert f"note: {trained} was trained on this source: scored is the part that was held out as test" in said
    found, said = run(capsys, *words, "--data.split=all")
    assert found["rows"] == 60
    assert f"note: {trained} was trained on this source, so that most of these rows are training rows" in said


def with_labels(bundle, folder, labels, provenance=None, config=None):
    """The bundle with other names of its labels, and with an origin."""
    shutil.copytree(bundle, folder)
    manifest, policies = Bundle.read(bundle).manifest, Bundle.read(bundle).policies
    Policies(labels, policies.values, policies.fitted_on).write(folder / "thresholds.json")
    if config is not None:
        (folder / "training.yaml").write_text(yaml.safe_dump(config.to_dict()))
    seal(
        folder, labels=labels, task=manifest.task, pooling=manifest.pooling, max_length=manifest.max_length,
        head_tokens=manifest.head_tokens, provenance=provenance or {},
    )  # fmt: skip
    return folder


def test_ids_are_positions_in_the_labels_where_that_is_said(bundles, capsys, tmp_path):
    first, _ = bundles
    shorter = with_labels(first, tmp_path / "shorter", (*LABELS[:3], "other"))
    table = tmp_path / "ids.csv"
    table.write_text("text,labels\n" + "".join(f"i feel this {i},{i % 4}\n" for i in range(40)))
    words = (first, shorter, "--timing=false", "--bootstrap_samples=2", "--threads=1", "--data.source=table",
             f"--data.path={table}")  # fmt: skip
    with pytest.raises(DataFormatError, match="holds label ids without names"):
        run(capsys, *words)
    found, _ = run(capsys, *words, "--data.ids_of_bundle=true")
    assert found["rows"] == 40
    assert found["labels"] == list(LABELS[:3])
    turned = with_labels(first, tmp_path / "turned", LABELS[::-1])
    with pytest.raises(DataFormatError, match=r"ids_of_bundle is true, and joy is label 0 of .* and 3 of .*turned"):
        run(capsys, first, turned, *words[2:], "--data.ids_of_bundle=true")


def test_a_choice_of_rows_without_rows_is_refused(bundles, capsys):
    pair = [str(word) for word in bundles]
    for more in (["--data.split=test"], ["--data.source=sample", "--data.split=test"]):
        with pytest.raises(ConfigError, match=r"^data.split is given without data.path\. Leave it out for the ref"):
            main([*pair, *more])
    with pytest.raises(ConfigError, match=r"data.split, data.ids_of_bundle are given without data.path"):
        main([*pair, "--data.split=dev", "--data.ids_of_bundle=true"])
    found, _ = run(
        capsys, *pair, "--timing=false", "--bootstrap_samples=2", "--threads=1", "--data.sources=[{kind: sample}]",
        "--data.split=test",
    )  # fmt: skip
    assert found["on"] == "test of the data given"


def test_one_bundle_alone_or_twice_is_refused(bundles):
    first, _ = bundles
    with pytest.raises(ConfigError, match="needs two different bundles or more, and got 1"):
        main([str(first)])
    with pytest.raises(ConfigError, match="needs two different bundles or more, and got 2"):
        main([str(first), str(first)])
    with pytest.raises(ConfigError, match=r"data.source is given without data.path"):
        main([str(first), f"{first}@fp32", "--data.source=table"])
