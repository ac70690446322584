"""Evaluating a bundle: the metrics of its training, on any data, as one line of JSON."""

import json
import shutil
import sys

import pytest

from shared.bundle import Bundle
from shared.errors import BundleNotFoundError, BundleTamperedError, ConfigError, DataFormatError, DataNotFoundError
from training import evaluate


@pytest.fixture
def table(finished):
    return finished.parent.parent / "table.jsonl"


def run(capsys, bundle, *options):
    assert evaluate.main([str(bundle), "--threads=1", "--bootstrap_samples=20", *map(str, options)]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_figures_are_those_of_the_training(finished, table, capsys, split):
    found = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={table}", f"--data.split={split}")
    known = Bundle.read(finished / "bundle").metrics()[split]
    for name in ("num_examples", "macro_f1", "micro_f1", "brier", "nll", "ece_pooled", "per_label"):
        assert (
            found[name] == pytest.approx(known[name], abs=1e-6) if name != "per_label" else found[name] == known[name]
        )
    assert found["split"] == split
    assert found["seal"] == Bundle.read(finished / "bundle").seal


def test_every_row_of_a_table_can_be_taken(finished, table, capsys):
    found = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={table}", "--data.split=all")
    assert found["num_examples"] == len(table.read_text().splitlines())


TRAINED_ON = "the bundle was trained on this source"


def test_of_the_file_of_the_training_the_held_out_rows_are_scored(finished, table, capsys, tmp_path):
    path = shutil.copy(table, tmp_path)  # elsewhere: a bundle holds no absolute path
    found = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={path}")
    assert f"{TRAINED_ON}: scored is the part that was held out as test" in found["notes"]
    known = Bundle.read(finished / "bundle").metrics()["test"]
    rows = len(table.read_text().splitlines())
    assert (found["split"], found["num_examples"]) == ("test", round(rows / 10))
    assert found["rows"] == {"read": rows, "scored": known["num_examples"]}
    assert found["macro_f1"] == pytest.approx(known["macro_f1"], abs=1e-6)
    whole = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={path}", "--data.split=all")
    assert f"{TRAINED_ON}, so that most of these rows are training rows" in whole["notes"]
    assert whole["num_examples"] == rows


def test_a_renamed_file_of_the_training_is_recognised_by_its_content(finished, table, capsys, tmp_path):
    path = shutil.copy(table, tmp_path / "renamed.jsonl")
    found = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={path}")
    assert f"{TRAINED_ON}: scored is the part that was held out as test" in found["notes"]
    assert found["macro_f1"] == pytest.approx(Bundle.read(finished / "bundle").metrics()["test"]["macro_f1"], abs=1e-6)


def test_a_file_of_the_same_name_alone_is_scored_whole_and_named(finished, table, capsys, tmp_path):
    lines = table.read_text().splitlines()[:40]
    path = tmp_path / table.name
    path.write_text("\n".join(lines))
    found = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={path}")
    assert (found["split"], found["num_examples"]) == ("all", 40)
    assert any("trained on a source of this name (table.jsonl)" in note for note in found["notes"])
    other = path.rename(tmp_path / "other.jsonl")
    found = run(capsys, finished / "bundle", "--data.source=table", f"--data.path={other}")
    assert not any("trained on" in note for note in found["notes"])


def test_the_output_folder_holds_figures_and_report(finished, table, capsys, tmp_path):
    options = ["--data.source=table", f"--data.path={table}", f"--output={tmp_path / 'out'}"]
    found = run(capsys, finished / "bundle", *options)
    assert json.loads((tmp_path / "out/metrics.json").read_text()) == found
    report = (tmp_path / "out/report.html").read_text()
    assert "macro F1" in report
    assert f"over {found['faithfulness']['texts']} texts" in report
    assert len(found["faithfulness"]["by_reasons"]) == len(found["faithfulness"]["shares"]) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_missing_split_names_those_there_are(finished, tmp_path, capsys):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("so glad\t17\tx\nso sad\t25\ty\n")
    with pytest.raises(DataNotFoundError, match=r"no test split in goemotions .* The splits there are: train, dev"):
        run(capsys, finished / "bundle", "--data.source=goemotions", f"--data.path={tmp_path}")


def test_data_that_shares_no_label_is_refused(finished, tmp_path, capsys):
    path = tmp_path / "colours.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"wall {i}", "labels": ["red", "green"][i % 2]}) + "\n" for i in range(40))
    )
    with pytest.raises(DataFormatError):
        run(capsys, finished / "bundle", "--data.source=table", f"--data.path={path}", "--data.split=all")


def test_a_missing_and_a_tampered_bundle_are_refused(finished, table, capsys, tmp_path):
    with pytest.raises(BundleNotFoundError, match="no bundle at"):
        run(capsys, tmp_path / "nothing")
    copy = shutil.copytree(finished / "bundle", tmp_path / "copy")
    thresholds = copy / "thresholds.json"
    thresholds.write_text(thresholds.read_text().replace('"half"', '"Half"'))
    with pytest.raises(BundleTamperedError, match=r"thresholds.json in .* changed after the bundle was sealed"):
        run(capsys, copy, "--data.source=table", f"--data.path={table}")


def test_a_wrong_split_is_explained(finished, capsys):
    with pytest.raises(ConfigError, match=r"data.split is 'tset' on the command line; allowed: train, dev, test, all"):
        run(capsys, finished / "bundle", "--data.split=tset")


def test_without_a_bundle_one_line_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training.evaluate"])
    with pytest.raises(SystemExit) as caught:
        evaluate.run_command(evaluate.main)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "bundle" in said
