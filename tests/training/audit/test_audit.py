"""A whole audit of a bundle: its JSON, its page, and what it refuses."""

import html
import json

import pytest

from emotion_classifiers.audit import main
from shared.errors import BundleError, ConfigError, DataFormatError
from tests.serving.exportable import LABELS, exportable_bundle

QUICK = ("--sentences=300", "--robustness_rows=20", "--threads=1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return exportable_bundle(tmp_path_factory.mktemp("audited") / "bundle")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.jsonl"
    words = ("sad", "sadness"), ("happy", "joy")
    rows = [
        {"text": f"i feel {words[i % 2][0]} {i}", "labels": words[i % 2][1], "who": "ab"[i // 40]} for i in range(80)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_audit_ends_in_one_line_of_json_and_a_page(bundle, table, capsys, tmp_path):
    assert main([str(bundle), *QUICK, f"--data.path={table}", "--data.group_column=who", f"--output={tmp_path / 'a'}",
                 "--mitigation=counterfactual_augmentation"]) == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["sentences"] >= 300
    assert found["groups"]["rows"] == {"a": 40, "b": 40}
    assert found["groups"]["split"] == "all"
    assert any("label column 'labels'" in note for note in found["groups"]["notes"])
    assert set(found["groups"]["labels"]) <= set(LABELS)
    assert {row["behaviour"] for row in found["behaviour"]} > {"negation", "casing", "typos", "length"}
    assert found["robustness"]
    assert "augment.methods" in found["mitigation"]
    page = (tmp_path / "a/report.html").read_text()
    assert json.loads((tmp_path / "a/audit.json").read_text()) == found
    for heading in ("another person", "Groups of rows: who", "Behaviour", "Robustness"):
        assert heading in page
    assert "src=" not in page
    assert found["groups"]["notes"][0] in html.unescape(page)


def test_thresholds_for_each_group_are_refused_with_the_reason(bundle):
    with pytest.raises(ConfigError, match="per_group_thresholds is refused: a text would be judged by who its writer"):
        main([str(bundle), *QUICK, "--mitigation=per_group_thresholds"])


def test_groups_need_a_table_and_a_column_of_it(bundle, table):
    with pytest.raises(ConfigError, match="group metrics need both: a table with labels"):
        main([str(bundle), *QUICK, f"--data.path={table}"])
    with pytest.raises(DataFormatError, match="has no column 'whom', which data.group_column names"):
        main([str(bundle), *QUICK, f"--data.path={table}", "--data.group_column=whom"])
    with pytest.raises(ConfigError, match=r"data.split is given without data.path\. Name a table and its column"):
        main([str(bundle), *QUICK, "--data.split=test"])


def test_the_rows_of_a_training_are_not_audited(monkeypatch, table):
    monkeypatch.setenv("EMOTION_TRAIN_DATA__PATH", str(table))
    with pytest.raises(BundleError, match="nowhere"):  # and no word of the table
        main(["nowhere"])


def test_ids_of_the_table_are_positions_in_the_labels_where_that_is_said(bundle, capsys, tmp_path):
    table = tmp_path / "ids.csv"
    table.write_text("text,labels,who\n" + "".join(f"i feel this {i},{i % 4},{'ab'[i // 40]}\n" for i in range(80)))
    words = [str(bundle), *QUICK, f"--data.path={table}", "--data.group_column=who"]
    with pytest.raises(DataFormatError, match="holds label ids without names"):
        main(words)
    assert main([*words, "--data.ids_of_bundle=true"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["groups"]
    assert found["rows"] == {"a": 40, "b": 40}
    assert set(found["labels"]) <= set(LABELS)
