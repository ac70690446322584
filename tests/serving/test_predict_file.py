"""Prediction of whole tables: the user's rows unchanged, in constant memory, and whole when it is stopped."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest

from serving import predict, predict_file, progress
from serving.bulk import scoring
from serving.predict import main
from serving.predictor import Predictor
from serving.text_checks import TextChecks
from shared.errors import ConfigError, DataFormatError, InvalidInputError
from shared.tables import writing
from tests.serving.bundles import stand_in_bundle

LABELS = ("joy", "anger", "fear")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("stand_in") / "bundle", labels=LABELS)


def predicted(bundle, source, target, *options):
    main([str(bundle), "--input", str(source), "--output", str(target), *options])
    return target.read_bytes().decode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\nThank you, that was kind\n", r"in.csv, line 2: 2 fields where the header has 1"),
        ("text,id\nhappy, very happy,1\nsad,2\n", r"in.csv, line 2: 3 fields where the header has 2"),
        ('text,id\n"fine",1\nsad\n', r"in.csv, line 3: 1 field where the header has 2"),
        ("text;id\nfine;1\nso; so;2\n", r"in.csv, line 3: 3 fields where the header has 2.*--separator names another"),
    ],
)
def test_rows_that_do_not_fit_their_header_are_never_shifted(bundle, tmp_path, content, message):
    (tmp_path / "in.csv").write_text(content)
    with pytest.raises(DataFormatError, match=message):
        predicted(bundle, tmp_path / "in.csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_json_rows_stay_as_they_were_written(bundle, tmp_path):
    lines = [
        '{"id":1, "text":"i am happy", "prev": null,  "x": 5, "deep": {"a": [1.0, "\\u00e9"]}}',
        '{"text": "sad", "prev": 1745216389265584132, "x": 1e-12, "big": 12345678901234567890}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    found = predicted(bundle, tmp_path / "in.jsonl", tmp_path / "out.jsonl").splitlines()
    for line, written in zip(lines, found, strict=True):
        assert written.startswith(line[:-1] + ', "predicted_labels": [')
        assert list(json.loads(written))[-4:] == ["predicted_labels", "p_joy", "p_anger", "p_fear"]
    cells = list(csv.DictReader(io.StringIO(predicted(bundle, tmp_path / "in.jsonl", tmp_path / "out.csv"))))
    assert [(row["prev"], row["x"], row["big"]) for row in cells] == [
        ("", "5", ""), ("1745216389265584132", "1e-12", "12345678901234567890"),
    ]  # fmt: skip
    predicted(bundle, tmp_path / "in.jsonl", tmp_path / "o.json")
    main([str(bundle), "--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.parquet")])
    columns = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert columns["prev"] == [None, 1745216389265584132]
    assert columns["big"] == [None, 12345678901234567890]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("in.csv", "text;id\ni am happy;1\nso, sad;2\n", []),
        ("in.csv", "sep=;\ntext;id\ni am happy;1\nso, sad;2\n", []),
        ("in.tsv", "text\tid\ni am happy\t1\nso, sad\t2\n", []),
        ("in.json", '[{"text": "i am happy", "id": "1"}, {"text": "so, sad", "id": "2"}]', []),
        ("in.jsonl", '\ufeff{"text": "i am happy", "id": "1"}\n{"text": "so, sad", "id": "2"}', []),
        ("in.csv", "i am happy|1\nso, sad|2\n", ["--header", "false", "--columns", "text,id"]),
        ("in.txt", "i am happy;1\nso, sad;2\n", ["--separator", ";", "--header", "false", "--columns", "text, id"]),
        ("in.dat", "text,id\ni am happy,1\n\"so, sad\",2\n", ["--format", "csv"]),
    ],
)  # fmt: skip
def test_tables_are_read_as_in_training(bundle, tmp_path, name, content, options):
    (tmp_path / name).write_text(content, encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(predicted(bundle, tmp_path / name, tmp_path / "out.csv", *options))))
    assert [(row["text"], row["id"]) for row in rows] == [("i am happy", "1"), ("so, sad", "2")]
    predictor = Predictor.load(bundle)
    expected = predictor.probabilities(predictor.logits(["i am happy", "so, sad"]))
    assert [[float(row[f"p_{label}"]) for label in LABELS] for row in rows] == pytest.approx(expected, rel=1e-9)


def test_other_encodings_and_compressed_files(bundle, tmp_path):
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress("text,id\ncafé,1\n".encode("cp1252")))
    target = tmp_path / "out.csv.gz"
    main([str(bundle), "--input", str(tmp_path / "in.csv.gz"), "--output", str(target), "--encoding", "cp1252"])
    assert gzip.decompress(target.read_bytes()).decode().splitlines()[1].startswith("café,1,")
    with pytest.raises(DataFormatError, match=r"not UTF-8: byte 0xe9 in line 2.* give --encoding cp1252"):
        predicted(bundle, tmp_path / "in.csv.gz", target)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_standard_input_to_standard_output(bundle, tmp_path, form):
    content = {"csv": "text,id\ni am happy,1\n,2\n", "jsonl": '{"text": "i am happy", "id": "1"}\n{"id": "2"}\n'}[form]
    command = [sys.executable, "-m", "serving.predict", str(bundle), "--input", "-", "--output", "-", "--format", form]
    result = subprocess.run(command, input=content.encode(), capture_output=True, check=True)
    (tmp_path / f"in.{form}").write_text(content)
    assert result.stdout.decode() == predicted(bundle, tmp_path / f"in.{form}", tmp_path / f"out.{form}")
    assert result.stderr.decode() == (
        "2 rows written to standard output (1 empty texts have no prediction); fp32, CPUExecutionProvider\n"
    )


@pytest.mark.parametrize(
    ("name", "options", "form"),
    [
        ("in.dat", ["--format", "csv"], "csv"),  # the suffix tells nothing, so it is the format of both
        ("in.dat", ["--format", "csv", "--output_format", "jsonl"], "jsonl"),
        ("in.csv", ["--format", "jsonl"], "jsonl"),
        ("in.csv", [], "csv"),
    ],
)
def test_standard_output_has_the_format_of_the_input_or_the_one_said(
    bundle, tmp_path, capfdbinary, name, options, form
):
    (tmp_path / name).write_text("text\nfine\n")
    main([str(bundle), "--input", str(tmp_path / name), "--output", "-", *options])
    said = capfdbinary.readouterr().out
    assert said.startswith({"csv": b"text,predicted_labels,", "jsonl": b'{"text"'}[form])


def test_standard_input_is_written_in_the_format_asked_for(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"text\nfine\n")))
    target = tmp_path / "out.csv"
    main([str(bundle), "--input", "-", "--format", "csv", "--output", str(target), "--output_format", "jsonl"])
    assert json.loads(target.read_text())["text"] == "fine"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--input", "-", "--output", "o.csv"], ConfigError, r"format of standard input is not known.*Give --format"),
        (
            ["--input", "in.csv", "--output", "o.xlsx"],
            ConfigError,
            r"cannot tell the format of o.xlsx, or not write it",
        ),
        (
            ["--input", "in.csv", "--output", "-", "--format", "txt"],
            ConfigError,
            r"written as txt\. Give --output_format",
        ),
        (
            ["--input", "in.csv", "--output", "o.csv", "--sheet", "1"],
            ConfigError,
            r"--sheet is given.* applies to xlsx",
        ),
        (
            ["--input", "-", "--output", "s3://b/o.csv"],
            ConfigError,
            r"standard input is written to a file of this machine",
        ),
        (["--text", ""], InvalidInputError, r"the text is empty: it holds no visible character"),
        (["--text", "fine", "--text", " \x00 "], InvalidInputError, r"the text is empty"),
    ],
)
def test_mistakes_about_tables(bundle, tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("text\nfine\n")
    with pytest.raises(error, match=message):
        main([str(bundle), *arguments])


def test_columns_of_the_user_are_replaced_only_when_asked(bundle, tmp_path):
    (tmp_path / "in.csv").write_text("p_joy,text,predicted_labels,id\nmine,i am happy,none,7\n")
    with pytest.raises(ConfigError, match=r"has the columns predicted_labels, p_joy already\. .*--overwrite_columns"):
        predicted(bundle, tmp_path / "in.csv", tmp_path / "out.csv")
    found = predicted(bundle, tmp_path / "in.csv", tmp_path / "out.csv", "--overwrite_columns").splitlines()
    assert found[0] == "text,id,predicted_labels,p_joy,p_anger,p_fear"
    assert found[1].startswith("i am happy,7,")
    (tmp_path / "in.jsonl").write_text('{"text": "i am happy", "x": 1.50}\n{"text": "a", "p_joy": 1, "x": 2.50}\n')
    with pytest.raises(ConfigError, match=r"in.jsonl has the column p_joy already"):
        predicted(bundle, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    late = '{"text": "a"}\n' * 200 + '{"text": "a", "p_fear": 1}\n'
    (tmp_path / "late.jsonl").write_text(late)
    with pytest.raises(ConfigError, match=r"late.jsonl, line 1 and the rows after it has the column p_fear already"):
        predicted(bundle, tmp_path / "late.jsonl", tmp_path / "late_out.jsonl")
    found = predicted(bundle, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--overwrite_columns").splitlines()
    assert found[1].startswith('{"text": "a", "x": 2.50, "predicted_labels": [')


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_table_without_rows_gives_one_with_all_columns(bundle, tmp_path, suffix):
    (tmp_path / "in.csv").write_text("text,id\n")
    main([str(bundle), "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / f"out{suffix}")])
    columns = ["text", "id", "predicted_labels", "p_joy", "p_anger", "p_fear"]
    content = (tmp_path / f"out{suffix}").read_bytes()
    if suffix == ".parquet":
        assert pq.read_schema(tmp_path / "out.parquet").names == columns
    else:
        assert content == {".csv": (",".join(columns) + "\n").encode(), ".json": b"[\n]\n", ".jsonl": b""}[suffix]


def test_a_text_that_is_a_list_is_an_error(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": ["a", "b"]}\n')
    with pytest.raises(DataFormatError, match=r"in.jsonl, line 2: the text is '\[\"a\", \"b\"\]', which is no text"):
        predicted(bundle, tmp_path / "in.jsonl", tmp_path / "out.jsonl")


def test_the_order_and_the_size_of_chunks_change_nothing(bundle, tmp_path, monkeypatch):
    texts = [" ".join(["happy", "sad", "i", "am"][: 1 + number % 4] * (1 + number % 7)) for number in range(50)]
    pd.DataFrame({"text": texts, "id": range(50)}).to_csv(tmp_path / "in.csv", index=False)
    whole = predicted(bundle, tmp_path / "in.csv", tmp_path / "a.csv")
    monkeypatch.setattr(predict, "PART_ROWS", 7)
    parts = predicted(bundle, tmp_path / "in.csv", tmp_path / "b.csv")
    for one, other in zip(*(csv.DictReader(io.StringIO(content)) for content in (whole, parts)), strict=True):
        assert (one["text"], one["id"], one["predicted_labels"]) == (
            other["text"],
            other["id"],
            other["predicted_labels"],
        )
        assert float(one["p_joy"]) == pytest.approx(float(other["p_joy"]), abs=1e-6)


def piped(bundle, monkeypatch, content, target):
    """Predict standard input, whose rows cannot be read a second time."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    main([str(bundle), "--input", "-", "--format", "csv", "--output", str(target)])


def stop_at(monkeypatch, call, kind):
    """Send this process a signal in the `call`-th call for logits."""
    calls = []
    real = Predictor.encoded_logits

    def encoded_logits(self, encoded, *rest):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), kind)
        return real(self, encoded, *rest)

    monkeypatch.setattr(Predictor, "encoded_logits", encoded_logits)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_rows_written_before_a_stop_are_complete_and_valid(bundle, tmp_path, monkeypatch, capsys, suffix, kind):
    content = "text,id\n" + "".join(f"i am happy,{row}\n" for row in range(50))
    predictor_calls = 1 + 3  # one for the self-check when the bundle is loaded
    stop_at(monkeypatch, predictor_calls, kind)
    monkeypatch.setattr(predict_file, "CHUNK_ROWS", 10)
    before = signal.getsignal(kind)
    with pytest.raises(KeyboardInterrupt):
        piped(bundle, monkeypatch, content, tmp_path / f"out{suffix}")
    assert signal.getsignal(kind) is before
    partial = tmp_path / f"out{suffix}.partial"
    assert [path.name for path in tmp_path.iterdir()] == [partial.name]
    rows = {
        ".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }[suffix](partial)  # fmt: skip
    assert f"{len(rows)} rows were predicted; they are complete in {partial}" in capsys.readouterr().err
    assert rows["id"].astype(int).tolist() == list(range(len(rows)))
    assert 0 < len(rows) < 50
    assert len(rows) % 10 == 0


def test_a_stop_while_rows_are_written_waits_for_them(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_file, "CHUNK_ROWS", 10)
    real = writing.DelimitedWriter.write

    def write(self, chunk, added):
        os.kill(os.getpid(), signal.SIGINT)
        real(self, chunk, added)

    monkeypatch.setattr(writing.DelimitedWriter, "write", write)
    with pytest.raises(KeyboardInterrupt):
        piped(bundle, monkeypatch, "text\n" + "happy\n" * 30, tmp_path / "out.csv")
    assert len(pd.read_csv(tmp_path / "out.csv.partial")) == 10


def test_rows_before_a_row_that_cannot_be_read_are_kept_beside(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict_file, "CHUNK_ROWS", 10)
    (tmp_path / "out.csv").write_text("an earlier output")
    with pytest.raises(DataFormatError, match=r"line 27: 2 fields"):
        piped(bundle, monkeypatch, "text\n" + "happy\n" * 25 + "so, so\n", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "an earlier output"
    assert len(pd.read_csv(tmp_path / "out.csv.partial")) == 20
    assert "20 rows were predicted" in capsys.readouterr().err


def test_progress_is_shown_on_a_terminal_alone(bundle, tmp_path, monkeypatch, capsys):
    (tmp_path / "in.csv").write_text("text\n" + "happy\n" * 30)
    monkeypatch.setattr(predict, "PART_ROWS", 10)
    monkeypatch.setattr(progress, "PROGRESS_S", 0.0)
    arguments = [str(bundle), "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv")]
    main([*arguments, "--processes", "1"])
    assert capsys.readouterr().err == f"30 rows written to {tmp_path}/out.csv; fp32, CPUExecutionProvider\n"
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    main([*arguments, "--processes", "1"])
    assert "\r20 rows, 100% of the input, " in capsys.readouterr().err


def test_the_languages_of_a_bundle_are_told_once_a_table(bundle, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(scoring, "TextChecks", lambda bundle: made.append(TextChecks(bundle)) or made[-1])
    monkeypatch.setattr(predict, "PART_ROWS", 2)
    (tmp_path / "in.csv").write_text("text\n" + "I am happy. You are sad.\n" * 5)
    options = ["--segments", "sentence", "--processes", "1"]
    found = predicted(bundle, tmp_path / "in.csv", tmp_path / "out.csv", *options)
    assert (len(made), len(found.splitlines())) == (1, 6)
