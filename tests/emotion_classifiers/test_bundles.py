"""Train on a DataFrame, export, evaluate what is served, publish: the way of a notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

import emotion_classifiers as ec
from emotion_classifiers import evaluation
from shared.errors import ConfigError, DataNotFoundError, InvalidInputError
from tests.emotion_classifiers.hub import hub
from tests.training.conftest import run_arguments
from tests.training.rows import LABELS, write_table
from training.evaluation import calibrate

pytestmark = pytest.mark.slow

NOTEBOOK = """
import emotion_classifiers as ec, pandas as pd
model = ec.load(bundle, precision="int8", threads=1)
predictions = model.predict(["i feel so happy today", "we felt angry"])
frame = pd.read_json(table, lines=True)
metrics = model.evaluate(frame, labels="labels")
trained = ec.train(frame, text="text", labels="labels", config=recipe, **{"run.name": "mine"})
address = trained.push_to_hub("me/mine")
again = ec.load(ec.export(trained, ["fp32"])).predict_proba(["i feel so happy today"])
"""
STATE = """
import logging, os, signal, sys
def state():
    log = logging.getLogger("training")
    return {
        "log": (log.propagate, log.level, list(log.handlers)), "sigint": signal.getsignal(signal.SIGINT),
        "environment": dict(os.environ), "root": list(logging.getLogger().handlers),
    }
def bars():
    from transformers.utils import logging as transformers_logging
    return transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
"""


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    """A folder with a table and a recipe of a few seconds."""
    folder = tmp_path_factory.mktemp("notebook")
    write_table(folder / "table.jsonl", rows=300)
    pairs = (argument[2:].split("=", 1) for argument in run_arguments(tiny_model, folder / "unused", folder / "runs"))
    recipe = {}
    for key, value in pairs:
        section, name = key.split(".")
        if name not in ("source", "path"):
            recipe.setdefault(section, {})[name] = yaml.safe_load(value)
    recipe["optim"]["epochs"] = 4
    recipe["calibration"] = {"method": "bias_corrected_temperature"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    frame = pd.DataFrame(rows_of(folder / "table.jsonl"))
    return ec.train(
        frame, text="text", labels="labels", config=folder / "recipe.yaml", **{"run.name": "first"}
    ).export(["fp32", "int8"], threads=1)  # fmt: skip


def test_a_bundle_is_trained_on_a_data_frame(bundle, folder):
    assert bundle.labels == tuple(sorted(LABELS))
    assert bundle.path == folder / "runs" / "first" / "bundle"
    assert set(bundle.metrics) == {"dev", "test"}
    assert "sigmoid(logit / temperature + bias); a label" in (bundle.path / "README.md").read_text(encoding="utf-8")
    assert os.fspath(bundle) == str(bundle.path)
    again = pd.read_parquet(folder / "runs" / "first" / "data" / "dataframe.parquet")
    assert again["text"].tolist() == [row["text"] for row in rows_of(folder / "table.jsonl")]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_precision_that_is_served_is_evaluated(bundle, folder, precision):
    """Micro F1, Brier score and support counted from the predictions of that precision, label by label."""
    rows = rows_of(folder / "table.jsonl")
    model = bundle.load(precision=precision, threads=1)
    metrics = model.evaluate(pd.DataFrame(rows), labels="labels")
    probabilities = model.predict_proba([row["text"] for row in rows]).astype(np.float64)
    decided = np.array([[name in p.labels for name in model.labels] for p in model.predict([r["text"] for r in rows])])
    truth = np.array([[name in row["labels"] for name in model.labels] for row in rows])
    tp, fp, fn = (decided & truth).sum(), (decided & ~truth).sum(), (~decided & truth).sum()
    assert metrics.precision == precision
    assert metrics.num_examples == len(rows)
    assert metrics.micro_f1 == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-12)
    assert metrics.brier == pytest.approx(((probabilities - truth) ** 2).mean(), abs=1e-6)
    assert {name: row["support"] for name, row in metrics.per_label.items()} == dict(
        zip(model.labels, truth.sum(axis=0).tolist(), strict=True)
    )
    assert repr(metrics).startswith(f"Metrics(macro_f1={metrics.macro_f1:.3f}, ")


def test_a_frame_rows_and_a_path_give_the_same_metrics(bundle, folder):
    rows = rows_of(folder / "table.jsonl")
    model = bundle.load(threads=1)
    wanted = model.evaluate(folder / "table.jsonl")
    for data in (rows, pd.DataFrame(rows), str(folder / "table.jsonl")):
        assert model.evaluate(data, text="text", labels="labels").brier == wanted.brier
    assert model.evaluate(None, **{"data.source": "table", "data.path": str(folder / "table.jsonl")}).nll == wanted.nll
    assert "macro_f1" in model.evaluate(rows, bootstrap_samples=20).content["intervals"]


def test_adapting_to_rows_of_the_training_says_so(bundle, folder, tmp_path):
    trained_on = folder / "runs/first/data/dataframe.parquet"
    child = bundle.load(threads=1).adapt(trained_on, text="text", labels="labels", output=str(tmp_path / "child"))
    about = child.predictor.bundle.manifest.provenance["adapted"]
    assert "the bundle was trained on this source, so that most of these rows are training rows" in about["notes"]


def test_the_command_evaluates_as_trained_and_as_served(bundle, folder, capsys):
    arguments = [str(bundle.path), f"--data.path={folder / 'table.jsonl'}", "--data.source=table", "--data.split=all"]
    found = {}
    for extra in ([], ["--precision=fp32"], ["--precision=int8"]):
        assert evaluation.main([*arguments, *extra, "--bootstrap_samples=0", "--threads=1"]) == 0
        content = json.loads(capsys.readouterr().out.splitlines()[-1])
        found[content["precision"]] = content
    assert list(found) == ["torch", "fp32", "int8"]
    assert found["fp32"]["nll"] == pytest.approx(found["torch"]["nll"], abs=1e-5)
    assert found["int8"]["nll"] == bundle.load(precision="int8", threads=1).evaluate(folder / "table.jsonl").nll


@pytest.mark.parametrize(
    ("data", "options", "kind", "message"),
    [
        ("nowhere.csv", {}, DataNotFoundError, "no data at .*nowhere.csv. Give a file, a folder, a DataFrame, or"),
        (
            7,
            {},
            InvalidInputError,
            r"data is a int that is no table \(.*\). Give a DataFrame, a list of dictionaries, a path or",
        ),
        ([1], {}, InvalidInputError, "data is a list that is no table"),
        ([{"text": "a", "labels": ["joy"]}], {"data.sauce": 1}, ConfigError, "unknown key 'data.sauce'"),
    ],
)
def test_data_that_cannot_be_used_is_refused(bundle, data, options, kind, message):
    with pytest.raises(kind, match=message):
        bundle.load(threads=1).evaluate(data, **options)


def test_a_wrong_key_is_refused_before_anything_is_trained(folder):
    with pytest.raises(ConfigError, match=r"unknown key 'optim.epoch' .*did you mean 'optim.epochs'"):
        ec.train(folder / "table.jsonl", config=folder / "recipe.yaml", **{"optim.epoch": 2})


def test_a_run_keeps_the_data_that_it_began_with(folder, monkeypatch):
    frame = pd.DataFrame(rows_of(folder / "table.jsonl"))
    options = {"run.name": "stopped", "optim.max_steps": 2, "eval.bootstrap_samples": 0}

    def train(data, **more):
        return ec.train(data, text="text", labels="labels", config=folder / "recipe.yaml", **{**options, **more})

    with pytest.raises(InvalidInputError, match="several kinds"):
        train([{"text": "a"}, {"text": 3}])
    assert not (folder / "runs/stopped").exists()
    with monkeypatch.context() as patch:
        patch.setattr(calibrate, "calibrate_and_evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(frame)
    kept = (folder / "runs/stopped/data/dataframe.parquet").read_bytes()
    with pytest.raises(ConfigError, match=r"holds an unfinished run .* Continue it with run.resume true"):
        train(frame[:200])
    with pytest.raises(InvalidInputError, match=r"not those that this run began with\. .* run.overwrite true"):
        train(frame[:200], **{"run.resume": True})
    with pytest.raises(ConfigError, match="run.name is 'latest'; allowed is a folder name"):
        train(frame[:200], **{"run.name": "latest"})
    assert (folder / "runs/stopped/data/dataframe.parquet").read_bytes() == kept
    found = train(frame, link_latest=True, **{"run.resume": True})
    assert (folder / "runs/latest").resolve() == found.path.parent
    (folder / "runs/latest").unlink()  # later tests train without it


def interrupted(*_):
    """In place of a step that Ctrl-C ends."""
    raise KeyboardInterrupt


def test_precisions_are_a_list(bundle):
    with pytest.raises(ConfigError, match=r"precisions is one string, 'int8'. Give a list: \[\"int8\"\]\."):
        ec.export(bundle, "int8")
    with pytest.raises(ConfigError, match="unknown precision 'int4'"):
        ec.export(bundle, ["int4"])


def test_eight_lines_do_it_all_and_leave_the_process_as_it_was(bundle, folder, tmp_path):
    """Load, predict, evaluate int8, train, publish, export; nothing of the process is changed, `latest` stays."""
    script = f"""{STATE}
bundle, table, recipe = {str(bundle.path)!r}, {str(folder / "table.jsonl")!r}, {str(folder / "recipe.yaml")!r}
before, before_bars = state(), bars()
{NOTEBOOK}
after = state()
for name in before:
    assert before[name] == after[name], (name, before[name], after[name])
assert bars() == before_bars
assert predictions[0].labels and metrics.precision == "int8" and again.shape == (1, 3)
print(address)
"""
    with hub() as server:
        environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0",
                       "HF_TOKEN": "t", "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith(f"{server.url}/me/mine/commit/")
        assert "bundle.json" in server.repositories["me/mine"]
    assert (folder / "runs" / "mine" / "bundle").is_dir()
    assert not (folder / "runs" / "latest").exists()
