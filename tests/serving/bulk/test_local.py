"""The local engine: the results of one process, whatever is killed; complete or absent outputs."""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import emotion_classifiers as ec
from serving.bulk import on_ray, pool
from serving.bulk.job import Job
from serving.bulk.reading import Part
from serving.predictor import Predictor
from shared.errors import BundleFormatError, BundleNotFoundError, ConfigError, DataFormatError
from tests.serving.bulk.tables import LABELS, frame, read, score, start, visible, write

pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_folder_gives_a_folder_of_the_same_files_with_the_rows_in_order(bundle, tmp_path, capsys, suffix):
    tables = {f"a/x{suffix}": frame(230, 1), f"b/deep/y{suffix}": frame(7, 2), f"z{suffix}": frame(100, 3)}
    for name, table in tables.items():
        write(tmp_path / "in" / name, table)
    (tmp_path / "in" / "README").write_text("no table")
    score(bundle, "--file", tmp_path / "in", "--output", tmp_path / "out", "--processes", 2)
    assert visible(tmp_path / "out") == sorted(tables)
    predictor = Predictor.load(bundle)
    for name, table in tables.items():
        found = read(tmp_path / "out" / name)
        assert [row["id"] for row in found] == table["id"].tolist()
        usable = [row for row, text in enumerate(table["text"]) if text]
        expected = predictor.probabilities(predictor.logits(table["text"].iloc[usable].tolist()))
        values = np.array([[float(found[row][f"p_{label}"]) for label in LABELS] for row in usable])
        np.testing.assert_allclose(values, expected, atol=1e-6)
    empty = sum((table["text"] == "").sum() for table in tables.values())
    assert capsys.readouterr().err.endswith(
        f"337 rows from 3 files written to {tmp_path}/out ({empty} empty texts have no prediction); "
        "1 files that are no tables passed over; fp32, CPUExecutionProvider\n"
    )


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".json", ".parquet"])
def test_the_number_of_processes_changes_no_byte(bundle, tmp_path, suffix):
    source = write(tmp_path / "in.jsonl", frame(333))
    for processes in (1, 3):
        score(bundle, "--input", source, "--output", tmp_path / f"{processes}{suffix}", "--processes", processes)
    one, three = ((tmp_path / f"{processes}{suffix}").read_bytes() for processes in (1, 3))
    assert one == three
    if suffix == ".json":
        assert [row["id"] for row in json.loads(one)] == frame(333)["id"].tolist()
    if suffix == ".csv.gz":
        assert len(gzip.decompress(one).splitlines()) == 334
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_killed_again_and_again_the_output_is_that_of_an_unbroken_run(bundle, tmp_path):
    for seed, suffix in enumerate((".csv", ".parquet")):
        write(tmp_path / "in" / f"{seed}{suffix}", frame(2000, seed))
    score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "whole", "--processes", 2)
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 2)
    generator, kills, code = random.Random(7), 0, None
    while code is None:
        process = start(bundle, *arguments)
        state, most = tmp_path / "out" / ".emotion", generator.randint(1, 12)
        before = len(list(state.rglob("part-*")))
        while (code := process.poll()) is None and kills < 6:
            if len(list(state.rglob("part-*"))) >= before + most or len(list(state.rglob("done.json"))) > kills:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        for path in (tmp_path / "out").glob("?.*"):  # complete or absent, at any moment
            assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
        process.communicate()
        code = process.returncode if process.returncode >= 0 else None
    assert (code, kills > 2) == (0, True)
    assert visible(tmp_path / "out") == visible(tmp_path / "whole")
    for name in visible(tmp_path / "whole"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_process_that_dies_is_replaced_and_nothing_is_lost(bundle, tmp_path, monkeypatch):
    write(tmp_path / "in.csv", frame(1500))
    answers, killed = pool.Pool._answers, []

    def kill_some(self):
        for found in answers(self):
            yield found
            if len(killed) < 3 and found[1].number % 7 == 3:
                victim = self._workers[len(killed) % len(self._workers)].process
                os.kill(victim.pid, signal.SIGKILL)
                killed.append(victim.pid)

    score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "whole.csv", "--processes", 2)
    monkeypatch.setattr(pool.Pool, "_answers", kill_some)
    score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes", 2)
    assert len(set(killed)) == 3
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    for pid in killed:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_rows_that_end_every_process_are_named_and_the_others_are_kept(bundle, tmp_path, monkeypatch, capsys):
    table = frame(400)
    table.loc[222, "text"] = "poison"
    write(tmp_path / "in.csv", table)
    monkeypatch.setattr(pool, "MODULE", "tests.serving.bulk.poisoned_worker")
    with pytest.raises(
        pool.WorkerDiedError, match=r"lines 202 to 251 of .*in.csv ended 3 processes, one after .*exit code 9"
    ):
        score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes", 2)
    assert "rows are done and kept in" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
    score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes", 1)
    assert [row["id"] for row in read(tmp_path / "out.csv")] == table["id"].tolist()


def test_what_the_user_must_fix_ends_the_run_at_once_and_the_same_command_goes_on(bundle, tmp_path, monkeypatch, capfd):
    table = frame(400)
    table.loc[390, "text"] = "mistake"
    write(tmp_path / "in.csv", table)
    arguments = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes")
    monkeypatch.setattr(pool, "MODULE", "tests.serving.bulk.poisoned_worker")
    with pytest.raises(BundleFormatError, match=r"^the bundle lacks a file\. Export it again\.$"):
        score(bundle, *arguments, 2)
    said = capfd.readouterr().err
    assert "rows are done and kept in" in said
    assert "Traceback" not in said
    score(bundle, *arguments, 1)
    assert [row["id"] for row in read(tmp_path / "out.csv")] == table["id"].tolist()


def test_the_last_words_of_a_process_are_heard_where_it_ended_before_it_was_given_a_part(bundle):
    parts, (ours, theirs) = pool.Pool(Job(str(bundle)), 1), pool.Pipe()
    worker = pool._Worker(subprocess.Popen([sys.executable, "-c", ""]), ours)
    parts._workers.append(worker)
    theirs.send(DataFormatError("what it said."))
    theirs.close()
    parts._give(worker, SimpleNamespace(file=0, number=0))
    with parts, pytest.raises(DataFormatError, match="what it said"):
        list(parts._answers())


def test_processes_ask_for_huge_pages_where_the_user_has_no_tunables(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert pool.worker_environment()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
    assert pool.worker_environment()["GLIBC_TUNABLES"] == "glibc.malloc.tcache_count=0"


def test_processes_that_do_not_start_are_an_error(bundle, tmp_path, monkeypatch):
    write(tmp_path / "in.csv", frame(200))
    monkeypatch.setattr(pool, "MODULE", "tests.nothing")
    with pytest.raises(pool.WorkerDiedError, match=r"3 processes ended before their model was loaded \(exit code 1\)"):
        score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes", 2)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_how_to_go_on_and_leaves_no_process(bundle, tmp_path, kind):
    write(tmp_path / "in.csv", frame(20_000))
    process = start(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--processes", 2)
    while len(list(tmp_path.rglob("part-*"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, kind)
    _, errors = process.communicate(timeout=60)
    rows = re.search(
        r"([\d,]+) rows are done and kept in .*out.csv.partial; the same command goes on from there", errors
    )
    assert rows is not None, errors
    assert int(rows[1].replace(",", "")) >= 250
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not (tmp_path / "out.csv").exists()


def test_a_file_that_cannot_be_read_stops_no_other(bundle, tmp_path, capsys):
    write(tmp_path / "in" / "a.csv", frame(60))
    (tmp_path / "in" / "b.csv.gz").write_bytes(gzip.compress(b"id,text\n1,fine\n")[:-9])
    (tmp_path / "in" / "c.parquet").write_bytes(b"no parquet")
    write(tmp_path / "in" / "d.jsonl", frame(60, 1))
    (tmp_path / "in" / "c.tsv").symlink_to("/proc/self/mem")  # of which every read fails
    damaged = r"b.csv.gz is damaged.*c.parquet is not readable as Parquet.*c.tsv cannot be read: Input/output error"
    with pytest.raises(DataFormatError, match=rf"3 of 5 files could not be scored, 2 were: .*{damaged}"):
        score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 1)
    assert visible(tmp_path / "out") == ["a.csv", "d.jsonl"]
    (tmp_path / "in" / "b.csv.gz").write_bytes(gzip.compress(b"id,text\n1,fine\n"))
    write(tmp_path / "in" / "c.parquet", frame(5, 3))
    (tmp_path / "in" / "c.tsv").unlink()
    score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 1)
    assert visible(tmp_path / "out") == ["a.csv", "b.csv.gz", "c.parquet", "d.jsonl"]
    assert "126 rows from 4 files" in (said := capsys.readouterr().err)
    assert "; 2 files were complete before" in said


def test_a_further_run_scores_what_is_new_or_changed_alone(bundle, tmp_path, capsys):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.csv", frame(60))
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 1)
    score(bundle, *arguments)
    kept = (tmp_path / "out" / "a.csv").stat().st_mtime_ns
    write(tmp_path / "in" / "b.csv", frame(70, 5))
    write(tmp_path / "in" / "c.csv", frame(10, 6))
    score(bundle, *arguments)
    assert (tmp_path / "out" / "a.csv").stat().st_mtime_ns == kept
    assert [len(read(tmp_path / "out" / f"{name}.csv")) for name in "abc"] == [60, 70, 10]
    assert "; 1 files were complete before" in capsys.readouterr().err


def test_work_of_another_run_is_never_mixed_in(bundle, tmp_path):
    write(tmp_path / "in" / "a.csv", frame(60))
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 1)
    score(bundle, *arguments)
    with pytest.raises(ConfigError, match=r"work of another run \(policy null then, \"half\" now\).*--restart"):
        score(bundle, *arguments, "--policy", "half")
    score(bundle, *arguments, "--policy", "half", "--restart")


def test_an_input_that_changes_while_it_is_scored_gives_no_output(bundle, tmp_path, monkeypatch):
    source = write(tmp_path / "in.csv", frame(200))
    answers, changed = pool.Pool._answers, []

    def change(self):
        for found in answers(self):
            if not changed:
                changed.append(write(source, frame(199, 1)))
            yield found

    monkeypatch.setattr(pool.Pool, "_answers", change)
    with pytest.raises(DataFormatError, match=r"in.csv changed while it was scored\. Run it again"):
        score(bundle, "--input", source, "--output", tmp_path / "out.csv", "--processes", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_types_of_parquet_and_json_are_kept_over_parts(bundle, tmp_path):
    table = frame(130).assign(when=pd.Timestamp("2026-01-02 03:04:05.678901"), score=np.float32(0.1), n=range(130))
    write(tmp_path / "in" / "a.parquet", table)
    write(tmp_path / "in" / "b.jsonl", table.drop(columns=["when", "score"]).assign(late=[None] * 129 + [[1, 2]]))
    options = ("--output_format", "parquet", "--processes", 2)
    score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "out", *options)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "a.parquet")[list(table)], table)
    late = pd.read_parquet(tmp_path / "out" / "b.parquet")
    assert late["n"].tolist() == list(range(130))
    assert late["late"].iloc[-1].tolist() == [1, 2]


def test_object_storage_holds_inputs_outputs_and_state(bundle, tmp_path):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for seed in range(2):
        source = write(tmp_path / "in" / "deep" / f"{seed}.parquet", frame(120, seed))
        memory.pipe(f"/bulk/in/deep/{seed}.parquet", source.read_bytes())
    score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "out", "--processes", 2)
    score(bundle, "--input", "memory://bulk/in", "--output", "memory://bulk/out", "--processes", 2)
    for seed in range(2):
        found = memory.cat(f"/bulk/out/deep/{seed}.parquet")
        assert found == (tmp_path / "out" / "deep" / f"{seed}.parquet").read_bytes()
    kept = [path for path in memory.find("/bulk/out") if "/part-" in path or "/bad-" in path]
    assert kept == []
    memory.rm("/bulk", recursive=True)


def test_ray_is_for_files_alone(bundle, tmp_path):
    write(tmp_path / "in.csv", frame(3))
    with pytest.raises(ConfigError, match=r"--engine ray scores files into files\. Leave --engine ray out"):
        score(bundle, "--input", tmp_path / "in.csv", "--output", "-", "--engine", "ray")


def test_without_ray_its_engine_says_how_to_install_it(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    write(tmp_path / "in.csv", frame(3))
    with pytest.raises(ConfigError, match=r"needs the package ray, which is not installed\. Run: pip install 'emotion"):
        score(bundle, "--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--engine", "ray")
    with pytest.raises(ConfigError, match="needs the package ray"):
        ec.score_dataset(None, bundle)


def test_an_actor_answers_a_part_with_what_the_user_must_fix(tmp_path):
    actor = on_ray._PartScorer(Job(str(tmp_path / "none")), str(tmp_path / "out"), True, "fp32")
    outcome = actor._outcome(None, Part(4, 0, None, None, 0.0))
    assert (outcome.file, type(outcome.found)) == (4, BundleNotFoundError)


def test_files_are_scored_from_python_too(bundle, tmp_path):
    write(tmp_path / "in" / "a.csv", frame(70))
    said = ec.score_files(bundle, tmp_path / "in", tmp_path / "out", output_format="jsonl", processes=1)
    assert said.startswith(f"70 rows from 1 files written to {tmp_path}/out")
    assert [row["id"] for row in read(tmp_path / "out" / "a.jsonl")] == frame(70)["id"].tolist()
