"""The engine on Ray, on a real cluster of three nodes: the local engine's outputs, whatever is killed.

`BULK_TEST_ROWS=200000` scores that many rows in the test of kills; 6,000 by default.
"""

import os
import random
import signal
import threading
import time

import numpy as np
import psutil
import pytest

import emotion_classifiers as ec
from serving import predict
from shared.context import ContextFormat
from shared.errors import ConfigError, DataFormatError
from tests.serving.bulk.tables import frame, read, score, visible, write
from tests.serving.bundles import stand_in_bundle
from tests.serving.test_languages import LABELS, sealed

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="RAY IS NOT INSTALLED: its engine is not tested here (pip install '.[ray]')")

ROWS = int(os.environ.get("BULK_TEST_ROWS", "6000"))
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("stand_in") / "bundle", labels=LABELS)


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, which runs the driver's part, and two nodes that may be lost."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    found.workers = [found.add_node(**NODE) for _ in range(2)]
    ray.init(address=found.address, logging_level="ERROR", log_to_driver=False)
    yield found
    ray.shutdown()
    found.shutdown()
    here = psutil.Process()
    left = [child for child in here.children(recursive=True) if "ray" in " ".join(child.cmdline()[:3])]
    assert left == []


def actors():
    """Processes of actors that score, on any node."""
    return [
        process for process in psutil.process_iter(["pid", "cmdline"])
        if "MapWorker(MapBatches(_PartScorer))" in " ".join(process.info["cmdline"] or [])
    ]  # fmt: skip


def test_files_are_scored_as_by_the_local_engine(bundle, cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict, "PART_ROWS", 100)
    write(tmp_path / "in" / "a.csv", frame(450, 1))
    write(tmp_path / "in" / "deep" / "b.parquet", frame(120, 2))
    (tmp_path / "in" / "c.jsonl").write_text('{"text": "i am happy"}\n{"text": \n{"text": "sad"}\n')
    (tmp_path / "in" / "d.parquet").write_bytes(b"no parquet")
    for name, options in (("here", ()), ("there", ("--engine", "ray"))):
        with pytest.raises(DataFormatError, match=r"1 of 4 files could not be scored, 3 were: .*d.parquet is not"):
            score(bundle, "--input", tmp_path / "in", "--output", tmp_path / name, *options)
    assert visible(tmp_path / "there") == visible(tmp_path / "here")
    assert visible(tmp_path / "here") == ["a.csv", "c.jsonl", "c.jsonl.bad.jsonl", "deep/b.parquet"]
    for name in visible(tmp_path / "here"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    (tmp_path / "in" / "d.parquet").unlink()
    capsys.readouterr()
    score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "there", "--engine", "ray")
    assert "; 3 files were complete before" in capsys.readouterr().err


def test_languages_and_conversations_are_those_of_the_local_engine(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "PART_ROWS", 50)
    spoken = sealed(tmp_path / "spoken", languages={"de": 60})
    talking = stand_in_bundle(tmp_path / "talking", labels=LABELS, context=ContextFormat(20))
    columns = {"lang": ["de", "pt-BR", "", "fi"] * 60, "d": [f"d{row // 7}" for row in range(240)]}
    write(tmp_path / "in.parquet", frame(240).assign(**columns))
    ways = [
        (spoken, "--language_column", "lang"),
        (talking, "--dialogue", "d", "--smooth", "0.5"),
    ]
    for number, (bundle, *options) in enumerate(ways):
        for name, engine in (("here", "local"), ("there", "ray")):
            output = tmp_path / f"{name}{number}.csv"
            score(bundle, "--input", tmp_path / "in.parquet", "--output", output, *options, "--engine", engine)
        assert (tmp_path / f"there{number}.csv").read_bytes() == (tmp_path / f"here{number}.csv").read_bytes()


def test_every_row_once_while_workers_and_a_node_are_killed(bundle, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "PART_ROWS", max(50, ROWS // 40))
    for seed in range(4):
        write(tmp_path / "in" / f"{seed}.parquet", frame(ROWS // 4, seed))
    score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "here", "--processes", 1)
    done, killed, generator = threading.Event(), [], random.Random(3)
    state = tmp_path / "there" / ".emotion"

    def kill():
        for parts in (4, 10, 16):
            while len(list(state.rglob("part-*"))) + 10 * len(list(state.rglob("done.json"))) < parts:
                if done.wait(0.05):
                    return
            if parts == 10:
                cluster.remove_node(cluster.workers.pop(generator.randrange(2)), allow_graceful=False)
                killed.append("node")
            elif victims := actors():
                os.kill(generator.choice(victims).pid, signal.SIGKILL)
                killed.append("worker")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        score(bundle, "--input", tmp_path / "in", "--output", tmp_path / "there", "--engine", "ray", "--processes", 2)
    finally:
        done.set()
        killer.join()
        cluster.workers.append(cluster.add_node(**NODE))  # Ray asks for the main thread
    assert {"node", "worker"} <= set(killed)
    for seed in range(4):
        one, other = (read(tmp_path / name / f"{seed}.parquet") for name in ("here", "there"))
        assert [row["id"] for row in other] == frame(ROWS // 4, seed)["id"].tolist()
        assert [list(row["predicted_labels"]) for row in one] == [list(row["predicted_labels"]) for row in other]
        for label in LABELS:
            values = ([row[f"p_{label}"] for row in rows] for rows in (one, other))
            np.testing.assert_allclose(*(np.array(list(column), float) for column in values), atol=1e-5)


def test_a_driver_that_was_killed_goes_on_where_it_was(bundle, cluster, tmp_path):
    import subprocess
    import sys

    write(tmp_path / "in.jsonl", frame(4000))
    score(bundle, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "here.csv", "--processes", 1)
    command = [
        sys.executable, "-c",
        "import sys; from serving import predict; predict.PART_ROWS = 200; predict.main(sys.argv[1:])",
        str(bundle), "--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "there.csv"), "--engine", "ray",
    ]  # fmt: skip
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while len(list(tmp_path.rglob("part-*"))) < 4:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "there.csv").exists()
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0
    one, other = (read(tmp_path / f"{name}.csv") for name in ("here", "there"))
    assert [row["id"] for row in one] == [row["id"] for row in other]
    assert [row["predicted_labels"] for row in one] == [row["predicted_labels"] for row in other]


def test_three_lines_score_a_data_set_of_the_users_own(cluster, tmp_path):
    import ray.data

    bundle = sealed(tmp_path / "bundle", languages={"de": 60})
    rows = [("i am happy", "de"), (None, "de"), ("sad", "pt-BR"), ("", "")]
    dataset = ray.data.from_items([{"text": text, "lang": code, "n": n} for n, (text, code) in enumerate(rows)])
    scored = ec.score_dataset(dataset, bundle, actors=1, language_column="lang")
    found = sorted(scored.take_all(), key=lambda row: row["n"])
    expected = ec.load(bundle).predict_proba(["i am happy", "sad"])
    np.testing.assert_allclose(
        [[found[place][f"p_{label}"] for label in LABELS] for place in (0, 2)], expected, atol=1e-5
    )
    assert [sorted(row["predicted_labels"]) for row in found] == [[], [], sorted(LABELS), []]
    assert [found[1]["p_joy"], found[3]["p_joy"]] == [None, None]


def test_what_no_node_has_is_told_before_anything_waits_for_it(bundle, cluster, tmp_path):
    write(tmp_path / "in.csv", frame(10))
    arguments = ("--input", tmp_path / "in.csv", "--output", tmp_path / "out.csv", "--engine", "ray")
    with pytest.raises(ConfigError, match=r"no node of the cluster has 1 GPU, which an actor needs"):
        score(bundle, *arguments, "--provider", "cuda")
    assert not list(tmp_path.glob("out*"))
