"""Inputs and their outputs: which files, under which names, and what is refused before anything is scored."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.bulk.job import Job, find_files
from serving.bulk.outputs import FileState, RunState
from serving.bulk.reading import texts_of, without_wrong_rows
from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from shared.tables import TableOptions, open_table

READING = TableOptions(prefix="--")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/x.csv",
        "a/y.parquet",
        "b/x.csv",
        "b/_hidden.csv",
        "b/x.csv.bad.jsonl",
        "b/.emotion/z.csv",
        "b/n.md",
    ):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text("text\nfine\n")
    (tmp_path / "one.txt").write_text("fine\n")
    (tmp_path / "loud").mkdir()
    for name in ("A.CSV", "B.CSV.GZ"):
        (tmp_path / "loud" / name).write_text("text\nfine\n")
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "output", "form", "targets", "passed"),
    [
        (["data"], "out", None, ["out/a/x.csv", "out/a/y.parquet", "out/b/x.csv"], 4),
        (["data/*/x.csv"], "out", None, ["out/a/x.csv", "out/b/x.csv"], 0),
        (["data/**/*.parquet"], "out", "jsonl", ["out/a/y.jsonl"], 0),
        (["data/a/x.csv", "data/a/y.parquet"], "out", None, ["out/x.csv", "out/y.parquet"], 0),
        (["data/a/x.csv"], "new.parquet", None, ["new.parquet"], 0),
        (["data/a/x.csv"], "out/", None, ["out/x.csv"], 0),
        (["data/a/x.csv"], "b.csv/", "json", ["b.csv/x.json"], 0),
        (["one.txt"], "out/", "csv", ["out/one.csv"], 0),
        (["loud"], "out", "jsonl", ["out/A.jsonl", "out/B.jsonl.gz"], 0),
    ],
)
def test_outputs_have_the_names_and_folders_of_their_inputs(data, inputs, output, form, targets, passed):
    found = find_files(inputs, output, READING, form)
    assert [file.target for file in found.files] == targets
    assert found.single == (output == "new.parquet")
    assert (found.no_tables, found.outputs) == (passed, 0)


@pytest.mark.parametrize(
    ("pattern", "output", "fitting"),
    [("data/**/*.csv", "./data/scored/", 2), ("**/x.csv", "scored", 2), ("data/*/*.csv", "data/scored", 0)],
)
def test_outputs_that_fit_the_pattern_are_no_inputs_of_the_next_run(data, pattern, output, fitting):
    first = find_files([pattern], output, READING)
    for file in first.files:
        (data / file.target).parent.mkdir(parents=True, exist_ok=True)
        (data / file.target).write_text("text,predicted_labels\n")
        FileState(RunState(output, single=False), file).begin()
    again = find_files([pattern], output, READING)
    assert [file.source for file in again.files] == [file.source for file in first.files]
    assert again.outputs == fitting
    for file in first.files:
        (data / file.source.path).unlink()
    message = "they are outputs of an earlier run" if fitting else "its files have other suffixes"
    with pytest.raises(DataNotFoundError, match=f"no table in .*: {message}"):
        find_files([pattern], output, READING)


@pytest.mark.parametrize(
    ("inputs", "output", "error", "message"),
    [
        (["gone"], "out", DataNotFoundError, r"no input file at gone: looked for /.*gone"),
        (["data/*.xml"], "out", ConfigError, r"cannot tell the format of data/\*.xml"),
        (["data/b/n.md"], "out/", ConfigError, r"cannot tell the format of data/b/n.md"),
        (["data/b/*.md"], "out/", DataNotFoundError, r"no table in data/b/\*.md: its files have other suffixes"),
        (
            ["data/a/x.csv", "data/b/x.csv"],
            "out",
            ConfigError,
            r"x.csv and data/b/x.csv would both be written to out/x",
        ),
        (["data"], "out.csv", ConfigError, r"out.csv is named like a file, and 3 input files are scored.*out.csv/"),
        (["data"], "out.csv.gz", ConfigError, r"out.csv.gz is named like a file, and 3 input files are scored"),
        (["data"], "data/out", ConfigError, r"the outputs, data/out, are within the inputs, data"),
        (["data/a/x.csv"], "data/a/x.csv", ConfigError, r"data/a/x.csv is an input, too"),
        (["data/a/x.csv"], "./data/../data/a/x.csv", ConfigError, r"x.csv is an input, too"),
        (["."], "out/", ConfigError, r"the outputs, out/, are within the inputs, \."),
        (["./data"], "data/out", ConfigError, r"the outputs, data/out, are within the inputs, ./data"),
        (["data/a/x.csv"], "x.xlsx", ConfigError, r"cannot tell the format of x.xlsx, or not write it"),
        (["one.txt"], "out/", ConfigError, r"one.txt is read as txt, which is not written.*--output_format"),
    ],
)
def test_what_cannot_be_scored_is_refused(data, inputs, output, error, message):
    with pytest.raises(error, match=message):
        find_files(inputs, output, READING)


def test_a_folder_without_tables(data):
    (data / "empty").mkdir()
    (data / "empty" / "a.md").write_text("")
    with pytest.raises(DataNotFoundError, match=r"no table in empty: its files have other suffixes than .csv"):
        find_files(["empty"], "out", READING)


def test_a_link_to_the_input_is_the_input(data):
    (data / "link.csv").symlink_to(data / "data" / "a" / "x.csv")
    with pytest.raises(ConfigError, match=r"data/a/x.csv is an input, too"):
        find_files(["link.csv"], "data/a/x.csv", READING)


def test_no_output_is_written_over_another_input(data):
    (data / "scored" / "data" / "a").mkdir(parents=True)
    (data / "scored" / "data" / "a" / "x.csv").write_text("text\nfine\n")
    with pytest.raises(ConfigError, match=r"^scored/data/a/x.csv is an input, too\. Name another output\.$"):
        find_files(["**/x.csv"], "scored", READING)


def test_what_is_read_back_of_a_run_is_what_was_written():
    job = Job("bundle", precision="int8", reading=TableOptions(prefix="--", columns=("text", "id")))
    identity = job.identity("seal", "int8, CPU", "csv")
    assert json.loads(json.dumps(identity)) == identity
    assert identity != job.identity("seal", "fp16, CUDA", "csv")
    assert identity != job.identity("seal", "int8, CPU", "parquet")


@pytest.mark.parametrize("tolerant", [False, True])
def test_cells_that_hold_no_text(tmp_path, tolerant):
    job = Job("bundle", reading=TableOptions(prefix="--", tolerant=tolerant))
    cells = {"list": pa.array([["a"]]), "object": pa.array([{"a": 1}]), "bytes": pa.array([b"a"])}
    for name, values in cells.items():
        pq.write_table(pa.table({"text": values}), tmp_path / f"{name}.parquet")
        (chunk,) = open_table(tmp_path / f"{name}.parquet", job.reading).chunks()
        if tolerant:
            found = without_wrong_rows(chunk, job)
            assert (len(found), len(found.arrow), [row.number for row in found.bad]) == (0, 0, [1])
        else:
            with pytest.raises(DataFormatError, match=r"parquet, row 1: the text is .*, which is no text"):
                without_wrong_rows(chunk, job)
    pq.write_table(pa.table({"text": pa.array([float("nan"), 1.5, None])}), tmp_path / "nan.parquet")
    (chunk,) = open_table(tmp_path / "nan.parquet", job.reading).chunks()
    assert texts_of(chunk, job) == ["", "1.5", ""]
