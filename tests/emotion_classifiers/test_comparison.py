"""`emotion compare`: bundles, runs and precisions on the same rows."""

import json

import pytest

from emotion_classifiers.comparison import main
from shared.bundle import Bundle
from shared.errors import ConfigError
from tests.serving.exportable import exportable_bundle


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
        capsys, first.parent, f"{first}@fp32", f"{first}@int8", "--bootstrap_samples=50", "--threads=1",
        f"--output={tmp_path / 'out'}",
    )  # fmt: skip
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


def test_one_bundle_alone_or_twice_is_refused(bundles):
    first, _ = bundles
    with pytest.raises(ConfigError, match="needs two different bundles or more, and got 1"):
        main([str(first)])
    with pytest.raises(ConfigError, match="needs two different bundles or more, and got 2"):
        main([str(first), str(first)])
    with pytest.raises(ConfigError, match=r"data.source is given without data.path"):
        main([str(first), f"{first}@fp32", "--data.source=table"])
