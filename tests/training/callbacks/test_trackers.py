"""The real MLflow and Weights & Biases, without a server: what a run sent them is read back."""

import json
import struct

import pytest

from training.run import main

WHY = "not installed: pip install 'emotion-classifiers[track]'"
BLOCK = 32768


@pytest.fixture
def run(arguments, tmp_path):
    def make(tracker, *options):
        main([*arguments, f"--watch.trackers=[{tracker}]", "--run.log_every_steps=1", *options])
        lines = (tmp_path / "runs/default/logs/train.jsonl").read_text().splitlines()
        return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]

    return make


@pytest.fixture
def mlflow_runs(tmp_path, monkeypatch):
    """Runs in a store of this test, the oldest first."""
    mlflow = pytest.importorskip("mlflow", reason=f"MLflow is {WHY}")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = mlflow.MlflowClient(uri)
    return client, lambda: sorted(client.search_runs(["0"]), key=lambda found: found.info.start_time)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_has_the_configuration_and_every_figure_of_each_run(run, mlflow_runs):
    client, runs = mlflow_runs
    expected = run("mlflow")
    run("mlflow", "--optim.lr=0.002", "--run.overwrite=true")
    first, second = runs()
    assert (first.info.run_name, first.info.status) == ("default", "FINISHED")
    assert first.data.params["optim.lr"] == "0.01"
    assert second.data.params["optim.lr"] == "0.002"
    assert first.data.params["loss.name"] == "bce"
    assert [metric.value for metric in client.get_metric_history(first.info.run_id, "loss")] == pytest.approx(expected)
    assert {"eval_macro_f1", "grad_norm/head", "learning_rate", "samples_per_second"} <= set(first.data.metrics)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_run_that_is_broken_off_has_failed_at_mlflow_too(run, mlflow_runs, monkeypatch):
    _, runs = mlflow_runs
    monkeypatch.setattr("training.loop.trainer.EmotionTrainer.evaluate", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("mlflow")
    monkeypatch.undo()
    assert [found.info.status for found in runs()] == ["FAILED"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_wandb_has_the_configuration_and_every_figure_of_each_run(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason=f"Weights & Biases is {WHY}")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    expected = run("wandb")
    run("wandb", "--optim.lr=0.002", "--run.overwrite=true")
    found = sorted((read_wandb(path) for path in tmp_path.glob("wandb/offline-run-*/*.wandb")), key=lambda one: one[1])
    assert [config["optim.lr"] for _, _, config, _ in found] == [0.01, 0.002]
    name, _, config, history = found[0]
    assert (name, config["loss.name"]) == ("default", "bce")
    assert [row["train/loss"] for row in history if "train/loss" in row] == pytest.approx(expected)
    names = set().union(*history)
    assert {"eval/macro_f1", "train/grad_norm/head", "train/learning_rate"} <= names


def read_wandb(path):
    """Name, start, configuration and history in the log that `wandb sync` would send."""
    from wandb.proto import wandb_internal_pb2 as messages

    name, start, config, history = "", 0.0, {}, []
    for content in records(path.read_bytes()):
        record = messages.Record.FromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            name, start = record.run.display_name, record.run.start_time.ToNanoseconds()
        updates = record.run.config.update if kind == "run" else record.config.update if kind == "config" else []
        config |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in updates}
        if kind == "history":
            items = record.history.item
            history.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return name, start, config, history


def records(content):
    """Records of a log in LevelDB's format: blocks of 32 KiB, each record whole or in first, middle and last parts."""
    place, whole = 7, b""  # after the file's own header
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""
