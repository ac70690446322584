"""`emotion drift`: served predictions against the reference rows, in the bins of the service's gauge."""

import json

import numpy as np
import pytest

from emotion_classifiers.drift import main
from serving.batching.jobs import Row
from serving.telemetry.drift import Drift
from shared.bundle import Bundle
from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from tests.serving.exportable import LABELS, exportable_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return exportable_bundle(tmp_path_factory.mktemp("drifted") / "bundle", rows=300)


def write_log(path, bundle, *, planted=None, rows=400):
    """Predictions of a year drawn from the reference rows; in and after a month all are sure of the first label."""
    reference = Bundle.read(bundle).reference()
    probabilities = Bundle.read(bundle).calibration.apply(reference.logits)
    random = np.random.default_rng(0)
    lines = []
    for i in range(rows):
        month = 1 + 12 * i // rows
        row = int(random.integers(len(reference.texts)))
        p = probabilities[row].copy()
        if planted and month >= planted:
            p[0] = 0.99
        values = {f"p_{name}": float(value) for name, value in zip(LABELS, p, strict=True)}
        lines.append({"text": reference.texts[row], "created": f"2024-{month:02d}-15", **values})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path, lines


def run(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_indices_are_those_of_the_services_gauge(bundle, capsys, tmp_path):
    log, lines = write_log(tmp_path / "log.jsonl", bundle)
    found = run(capsys, bundle, log)
    opened = Bundle.read(bundle)
    gauge = Drift(opened)
    lengths = [row.num_tokens for row in opened.tokenizer().encode([line["text"] for line in lines])]
    for line, length in zip(lines, lengths, strict=True):
        gauge.add(Row(np.array([line[f"p_{name}"] for name in LABELS]), length, False))
    assert {name: row["index"] for name, row in found["indices"].items()} == pytest.approx(gauge.indices())
    assert all(row["verdict"] == "stable" for row in found["indices"].values())
    assert (found["over_time"], found["notes"]) == (None, [])


def test_drift_planted_in_july_is_dated_and_the_label_named(bundle, capsys, tmp_path):
    log, _ = write_log(tmp_path / "log.jsonl", bundle, planted=7)
    found = run(capsys, bundle, log, "--date_column=created", f"--output={tmp_path / 'out'}")
    assert found["over_time"]["changes"]["labels"]["since"] == "2024-07"
    assert found["over_time"]["changes"]["length"] is None
    moved = found["labels"][LABELS[0]]
    assert moved["now"] > moved["reference"]
    assert moved["p_adjusted"] < 0.01
    report = (tmp_path / "out/report.html").read_text()
    assert "since 2024-07" in report
    drawing = report[report.index("<svg") : report.index("</svg>")]
    assert all(f">2024-{month:02d}</text>" in drawing for month in range(1, 13))
    assert "stability index" in drawing


def test_of_few_rows_it_is_not_said_that_they_have_shifted(bundle, capsys, tmp_path):
    log, _ = write_log(tmp_path / "log.jsonl", bundle, rows=60)
    assert main([str(bundle), str(log), f"--output={tmp_path / 'out'}"]) == 0
    printed, said = capsys.readouterr()
    found = json.loads(printed.splitlines()[-1])
    assert {name: row["verdict"] for name, row in found["indices"].items()} == dict.fromkeys(found["indices"])
    assert all(f"{name}: too few rows (index {row['index']:.3f})" in said for name, row in found["indices"].items())
    note = "60 predictions and 300 reference rows are too few to tell drift from chance: 200 of each are needed"
    assert (found["notes"], f"note: {note}\n" in said) == ([note], True)
    assert all(words in (tmp_path / "out/report.html").read_text() for words in (note, "labels: too few rows"))


def test_a_table_that_holds_no_predictions_is_explained(bundle, tmp_path):
    with pytest.raises(DataNotFoundError, match="no table at"):
        main([str(bundle), str(tmp_path / "none.csv")])
    log = tmp_path / "log.csv"
    log.write_text("text,p_joy\nhello,0.5\n")
    with pytest.raises(DataFormatError, match="lacks the columns p_sadness, p_anger, p_fear"):
        main([str(bundle), str(log)])
    header = "text," + ",".join(f"p_{name}" for name in LABELS)
    log.write_text(f"{header}\nhello,,,,\nthere,,,,\n")
    with pytest.raises(EmptyDataError, match="has no row with probabilities"):
        main([str(bundle), str(log)])
    for cells, message in (("x,0,0,0", "a probability that is no number"), ("2,0,0,0", "probabilities outside 0..1")):
        log.write_text(f"{header}\nhello,{cells}\n")
        with pytest.raises(DataFormatError, match=message):
            main([str(bundle), str(log)])
    log.write_text(f"{header}\nhello,0,0,0,0\n")
    with pytest.raises(DataFormatError, match="has no column 'when'"):
        main([str(bundle), str(log), "--date_column=when"])
    with pytest.raises(DataFormatError, match="the table has no column 'words'"):
        main([str(bundle), str(log), "--text_column=words"])
