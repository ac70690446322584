"""Which stopped run is taken up, and which is not: nothing of another one is mixed in, nothing that is done is lost."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from serving import predict, predict_file
from serving.bulk import local, outputs, pool, run
from serving.bulk.job import ScoredFile, find_files
from serving.progress import Progress
from shared.errors import ConfigError
from shared.storage import FoundFile
from shared.tables import TableOptions
from tests.serving.bulk.tables import frame, read, score, write

pytestmark = pytest.mark.usefixtures("small_parts")


def stopped(bundle, monkeypatch, *arguments):
    """A run that ends when it has scored a part."""
    with monkeypatch.context() as patch:
        patch.setattr(local.Run, "show_progress", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            score(bundle, *arguments, "--processes", 1)


def test_named_columns_are_those_of_the_stopped_run(bundle, tmp_path, monkeypatch, capsys):
    (tmp_path / "in.csv").write_text("".join(f"{row},word {row}\n" for row in range(120)))
    arguments = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv",
                 "--header", "false", "--columns", "id,text")  # fmt: skip
    stopped(bundle, monkeypatch, *arguments)
    score(bundle, *arguments)
    assert "50 rows are done and kept" in capsys.readouterr().err
    assert [row["id"] for row in read(tmp_path / "out.csv")] == [str(row) for row in range(120)]


@pytest.mark.parametrize(
    ("then", "now"), [((), ("--output_format", "jsonl")), (("--precision", "fp32"), ("--precision", "int8"))]
)
def test_parts_of_another_form_or_model_are_never_mixed_in(bundle, tmp_path, monkeypatch, then, now):
    write(tmp_path / "in.csv", frame(120))
    arguments = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    stopped(bundle, monkeypatch, *arguments, *then)
    with monkeypatch.context() as patch:
        chosen = run.choose_model
        patch.setattr(run, "choose_model", lambda *args, precision, **more: (
            SimpleNamespace(precision="int8") if precision == "int8" else chosen(*args, precision=precision, **more)
        ))  # fmt: skip
        with pytest.raises(ConfigError, match=r"work of another run \((output_format|model) "):
            score(bundle, *arguments, *now)


def kept(inputs, output):
    """Rows of the only input's parts that a further run goes on from."""
    found = find_files([str(inputs)], str(output), TableOptions(prefix="--"))
    state = outputs.FileState(outputs.RunState(str(output), single=found.single), found.files[0])
    return 0 if state.drop_outdated() else sum(record.rows for record in state.parts().values())


def test_an_input_is_the_same_however_it_is_spelt(bundle, tmp_path, monkeypatch):
    write(tmp_path / "in.csv", frame(120))
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    stopped(bundle, monkeypatch, "--input", "in.csv", "--output", "out.csv")
    (noted,) = (tmp_path / "out.csv.partial").glob("*/input.json")
    for source in (str(tmp_path / "in.csv"), "in.csv"):  # as versions before noted it
        noted.write_text(json.dumps(json.loads(noted.read_text()) | {"source": source}))
        for inputs in (
            "in.csv",
            "./elsewhere/../in.csv",
            tmp_path / "in.csv",
            "link/in.csv",
            f"file://{tmp_path}/in.csv",
        ):
            assert kept(inputs, "out.csv") == 50
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"source": str(tmp_path / "in.csv")}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert kept("../in.csv", "../out.csv") == 50
    write(tmp_path / "elsewhere" / "in.csv", frame(120))
    assert kept("in.csv", "../out.csv") == 0


def test_parts_of_a_single_input_that_has_changed_are_thrown_away_by_restart_alone(bundle, tmp_path, monkeypatch):
    source = write(tmp_path / "in.csv", frame(120))
    arguments = ("--input", source, "--output", tmp_path / "out.csv")
    stopped(bundle, monkeypatch, *arguments)
    then = source.stat().st_mtime_ns
    os.utime(source, ns=(0, 7))
    message = (
        rf"out.csv was begun with another state of .*in.csv \(version \"{then}\" then, \"7\" now\), and 50 rows of"
    )
    with pytest.raises(ConfigError, match=message):
        score(bundle, *arguments)
    os.utime(source, ns=(0, then))
    assert kept(source, tmp_path / "out.csv") == 50
    write(source, frame(70))
    with pytest.raises(ConfigError, match=r"another state of .*size \d+ then, \d+ now.* give --restart"):
        score(bundle, *arguments)
    score(bundle, *arguments, "--restart", "--processes", 1)
    assert len(read(tmp_path / "out.csv")) == 70


def test_rows_of_a_folder_that_are_scored_again_are_counted(bundle, tmp_path, monkeypatch, capsys):
    for name, rows in (("a", 30), ("b", 40), ("c", 120)):
        write(tmp_path / "in" / f"{name}.csv", frame(rows))
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 1)
    score(bundle, *arguments)
    os.utime(tmp_path / "in" / "a.csv", ns=(0, 7))
    (tmp_path / "out" / "b.csv").unlink()
    capsys.readouterr()
    score(bundle, *arguments)
    said = capsys.readouterr().err
    assert "note: 70 rows are scored again: their files have changed since, or their outputs are gone\n" in said
    assert "190 rows from 3 files" in said
    assert "1 files were complete before" in said


def test_a_stop_before_anything_is_counted_forgets_nothing(bundle, tmp_path, monkeypatch):
    write(tmp_path / "in" / "a.csv", frame(60))
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 1)
    score(bundle, *arguments)
    with monkeypatch.context() as patch:
        patch.setattr(outputs.FileState, "done", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            score(bundle, *arguments)
    assert list((tmp_path / "out" / ".emotion").rglob("done.json"))


def test_rows_of_a_stopped_run_of_another_kind_are_told_of(bundle, tmp_path):
    write(tmp_path / "in.csv", frame(3))
    arguments = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    (tmp_path / "out.csv.partial").write_text("id,text\n")
    with pytest.raises(ConfigError, match=r"out.csv.partial is a file, which holds the rows of a run that was stopped"):
        score(bundle, *arguments)
    (tmp_path / "out.csv.partial").unlink()
    (tmp_path / "out.csv.partial").mkdir()
    holds = r"out.csv.partial holds the work of a run over files that was stopped"
    with pytest.raises(ConfigError, match=holds), predict_file._opened(str(tmp_path / "out.csv"), Progress(0.0)):
        pass


def test_ctrl_c_reaches_no_process_that_is_just_starting(bundle, tmp_path, monkeypatch):
    write(tmp_path / "in.csv", frame(200))
    start_one, replaced = pool.Pool._start, []

    def interrupted(self):
        worker = start_one(self)
        os.kill(worker.process.pid, signal.SIGINT)
        return worker

    ended = pool.Pool.__exit__
    monkeypatch.setattr(pool.Pool, "_start", interrupted)
    monkeypatch.setattr(pool.Pool, "__exit__", lambda self, *error: (replaced.append(self.replaced), ended(self)))
    score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes", 2)
    assert replaced == [0]
    assert len(read(tmp_path / "out.csv")) == 200


@pytest.mark.parametrize(
    ("name", "size", "rows"),
    [
        ("a.csv", 100, 1024), ("a.csv", 13_000_000, 1024), ("a.csv", 14_000_000, 2048), ("a.csv", 27_000_000, 4096),
        ("a.csv.gz", 6_000_000, 2048), ("a.parquet", 11_000_000, 4096),
    ],
)  # fmt: skip
def test_there_are_many_parts_unless_they_were_too_small(name, size, rows):
    source = FoundFile(name, name, size, "")
    assert run.part_rows([ScoredFile(source, "out.csv", "out.csv", "csv")]) == rows


def test_a_run_goes_on_in_parts_of_the_size_it_was_begun_in(bundle, tmp_path, monkeypatch, capsys):
    write(tmp_path / "in.csv", frame(120))
    arguments = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    stopped(bundle, monkeypatch, *arguments)
    monkeypatch.setattr(predict, "PART_ROWS", 30)
    score(bundle, *arguments)
    monkeypatch.setattr(predict, "PART_ROWS", 50)
    score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "whole.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
