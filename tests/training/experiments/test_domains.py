"""Bundles on corpora: one table, one matrix and one plot, over the labels that both have."""

import json

import pytest

from shared.bundle import Bundle, seal
from shared.errors import ConfigError
from tests.serving.exportable import exportable_bundle
from training import domains


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return exportable_bundle(tmp_path_factory.mktemp("domains") / "run" / "bundle")


def write_corpus(path, labels):
    rows = [{"text": f"i feel {label} {i}", "labels": [label]} for i in range(20) for label in labels]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_every_bundle_meets_every_corpus_over_the_labels_they_share(bundle, tmp_path, capsys):
    sources = [
        {"kind": "table", "path": write_corpus(tmp_path / "two.jsonl", ("joy", "fear"))},
        {"kind": "table", "path": write_corpus(tmp_path / "one.jsonl", ("sadness", "anger", "fear"))},
    ]
    domains.main([
        str(bundle.parent), f"--data.sources={json.dumps(sources)}", f"--output={tmp_path / 'out'}", "--threads=1",
        "--bootstrap_samples=20",
    ])  # fmt: skip
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert [(row["corpus"], row["labels"], row["rows"]) for row in found["rows"]] == [
        ("table two.jsonl", 2, 40), ("table one.jsonl", 3, 60),
    ]  # fmt: skip
    assert found["matrix"][0]["table two.jsonl"] == f"{found['rows'][0]['macro_f1']:.4f}"
    assert str(bundle.parent) in said
    assert (tmp_path / "out/results.svg").is_file()


def test_a_table_is_known_by_its_file_and_a_name_given_twice_is_numbered(bundle, tmp_path, capsys):
    manifest = Bundle.read(bundle).manifest
    trained_on = [{"kind": "table", "origin": "/elsewhere/a.jsonl"}]
    seal(
        bundle, labels=manifest.labels, task=manifest.task, pooling=manifest.pooling, max_length=manifest.max_length,
        head_tokens=manifest.head_tokens, provenance={"data": {"sources": trained_on}},
    )  # fmt: skip
    (tmp_path / "other").mkdir()
    places = ((tmp_path / "a.jsonl", ("joy", "fear")), (tmp_path / "b.jsonl", ("joy", "fear")),
              (tmp_path / "other/b.jsonl", ("anger", "sadness")))  # fmt: skip
    sources = [{"kind": "table", "path": write_corpus(*place)} for place in places]
    domains.main([
        str(bundle), f"--data.sources={json.dumps(sources)}", f"--output={tmp_path / 'out'}", "--threads=1",
        "--bootstrap_samples=0",
    ])  # fmt: skip
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert [(row["corpus"], row["in_domain"]) for row in found["rows"]] == [
        ("table a.jsonl", True), ("table b.jsonl", False), ("table b.jsonl (2)", False),
    ]  # fmt: skip
    assert list(found["matrix"][0]) == ["model", "table a.jsonl", "table b.jsonl", "table b.jsonl (2)"]
    assert found["matrix"][0]["table a.jsonl"].endswith("*")
    assert found["matrix"][0]["table b.jsonl"] == f"{found['rows'][1]['macro_f1']:.4f}"


def test_without_bundles_or_corpora_it_says_what_is_missing(bundle):
    with pytest.raises(ConfigError, match="need bundles and corpora, and got 1 and 0"):
        domains.main([str(bundle)])
