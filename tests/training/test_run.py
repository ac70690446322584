"""A whole run: what it leaves, how it is resumed, and how a user's mistakes are reported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification

from shared.bundle import Bundle
from shared.errors import ConfigError, EmotionError
from shared.metrics import macro_f1
from shared.modeling.classifier import load_classifier
from shared.thresholds import decide
from tests.training.conftest import run_arguments
from training import publish, run
from training.config import Config
from training.config.parser import parse_options
from training.config.schema import flatten
from training.evaluation import calibrate, run_bundle
from training.loop import train
from training.runtime.run_folder import RunFolder


def test_a_run_leaves_checkpoints_logs_and_a_bundle_and_moves_the_link(finished):
    assert {path.name for path in finished.iterdir()} >= {"checkpoints", "logs", "bundle", "training.yaml"}
    assert (finished.parent / "latest").resolve() == finished
    assert {path.name for path in (finished / "logs").iterdir()} == {
        "run.log", "train.jsonl", "tensorboard", "data.sha256",
    }  # fmt: skip
    names = {path.name for path in (finished / "bundle").iterdir()}
    assert names == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "bundle.json",
        "aggregation.json", "calibration.json", "thresholds.json", "metrics.json", "training.yaml", "reference.npz",
        "report.html", "README.md", "fairness.json",
    }  # fmt: skip
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (finished / "bundle").iterdir())


def test_nothing_half_written_is_left(finished):
    assert [path.name for path in finished.iterdir() if path.name.startswith(".")] == []
    assert [path.name for path in finished.parent.iterdir() if path.name.startswith(".")] == []


def test_the_bundle_holds_the_model_whose_logits_are_the_reference(finished):
    bundle = Bundle.read(finished / "bundle")
    reference, tokenizer = bundle.reference(), bundle.tokenizer()
    batch = {name: torch.from_numpy(a) for name, a in tokenizer.pad(tokenizer.encode(reference.texts)).items()}
    with torch.no_grad():
        logits = load_classifier(bundle.path)(**batch).logits.numpy()
    assert np.abs(logits - reference.logits).max() < 1e-5
    assert reference.split == "dev"


def test_the_figures_follow_from_reference_calibration_and_thresholds(finished):
    bundle = Bundle.read(finished / "bundle")
    reference, metrics = bundle.reference(), bundle.metrics()
    decisions = decide(bundle.calibration.apply(reference.logits), bundle.policies.get())
    assert set(metrics) == {"dev", "test"}
    assert metrics["dev"]["macro_f1"] == pytest.approx(macro_f1(reference.labels, decisions, reference.known))
    assert metrics["dev"]["num_examples"] == len(reference.texts)
    assert set(metrics["test"]["baselines"]) == {"uncalibrated", "train_prior"}
    low, high = metrics["test"]["intervals"]["macro_f1"]
    assert low <= metrics["test"]["macro_f1"] <= high


def test_provenance_names_source_data_seeds_versions_and_checkpoint(finished, tiny_model):
    provenance = Bundle.read(finished / "bundle").manifest.provenance
    assert provenance["base_checkpoint"]["name"] == tiny_model.name
    assert len(provenance["base_checkpoint"]["sha256"]) == len(provenance["data"]["fingerprint"]) == 64
    assert provenance["seeds"] == {"training": 42, "data": 13}
    assert {"python", "torch", "transformers"} <= set(provenance["versions"])
    assert provenance["training"]["steps"] >= provenance["training"]["best_step"] > 0


def test_the_resolved_configuration_is_in_run_and_bundle(finished):
    written = [yaml.safe_load((folder / "training.yaml").read_text()) for folder in (finished, finished / "bundle")]
    flat = [flatten(content) for content in written]
    assert {key for key in flat[0] if flat[0][key] != flat[1][key]} == {"run.output_dir", "data.path", "model.name"}
    assert written[0]["tuning"]["method"] == "lora"
    assert written[0]["optim"]["warmup_ratio"] == 0.1


def test_a_bundle_with_cls_pooling_loads_with_transformers_alone(arguments, tmp_path):
    run.main([*arguments, "--tuning.method", "lora"])
    bundle = Bundle.read(tmp_path / "runs/default/bundle")
    native = AutoModelForSequenceClassification.from_pretrained(bundle.path).eval()
    ids = torch.tensor([[1, 70, 80, 90, 2]])
    with torch.no_grad():
        assert torch.allclose(
            native(input_ids=ids).logits, load_classifier(bundle.path)(input_ids=ids).logits, atol=1e-5
        )
    assert list(native.config.id2label.values()) == list(bundle.manifest.labels)
    card = (bundle.path / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "library_name: transformers" in card


def test_two_runs_of_one_seed_are_equal_and_of_another_differ(arguments, tmp_path):
    logits = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run.main([*arguments, f"--run.name={name}", f"--run.seed={seed}", "--optim.max_steps=2"])
        logits.append(Bundle.read(tmp_path / f"runs/{name}/bundle").reference().logits)
    assert np.array_equal(logits[0], logits[1])
    assert not np.allclose(logits[0], logits[2])


def losses(folder: Path) -> dict[int, float]:
    entries = [json.loads(line) for line in (folder / "logs/train.jsonl").read_text().splitlines()]
    return {entry["step"]: entry["grad_norm"] for entry in entries if "loss" in entry}


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_the_unbroken_one(tiny_model, table, tmp_path):
    options = ["--run.save_every_steps=1", "--run.log_every_steps=1", "--optim.epochs=6"]
    arguments = [*run_arguments(tiny_model, table, tmp_path / "runs"), *options]
    run.main([*arguments, "--run.name=whole"])
    killed = [*arguments, "--run.name=killed"]
    process = subprocess.Popen([sys.executable, "-m", "training.run", *killed], stderr=subprocess.DEVNULL)
    folder = RunFolder(tmp_path / "runs/killed")
    end = time.monotonic() + 90
    while not (folder.checkpoints / "checkpoint-3").is_dir() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not folder.bundle.exists()
    run.main([*killed, "--run.resume=true"])
    assert losses(folder.path) == losses(tmp_path / "runs/whole")
    whole, resumed = (Bundle.read(tmp_path / f"runs/{name}/bundle").reference().logits for name in ("whole", "killed"))
    assert np.array_equal(whole, resumed)


def test_an_interrupted_run_says_how_to_resume_and_exits_with_130(arguments, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate, "calibrate_and_evaluate", interrupted)
    monkeypatch.setattr(sys, "argv", ["training.run", *arguments])
    with pytest.raises(SystemExit) as caught:
        run.run_command(run.main)
    assert caught.value.code == 130
    said = capsys.readouterr().err
    config = tmp_path / "runs/default/training.yaml"
    assert f"Resume with: python -m training.run --config {config} --run.resume true" in said
    monkeypatch.undo()
    run.main(["--config", str(config), "--run.resume", "true"])
    assert Bundle.read(tmp_path / "runs/default/bundle")


def test_an_unfinished_run_is_not_lost_by_accident(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(run_bundle, "publish_run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.main(arguments)
    with pytest.raises(ConfigError, match=r"holds an unfinished run .* --run.resume true, .* --run.overwrite true"):
        run.main(arguments)
    with pytest.raises(ConfigError, match=r"another configuration: optim.lr was 0.01 and is 0.5\. Resume with: python"):
        run.main([*arguments, "--optim.lr=0.5", "--run.resume=true"])
    with pytest.raises(KeyboardInterrupt):
        run.main([*arguments, "--run.overwrite=true", "--optim.lr=0.5"])


def test_a_run_goes_on_with_the_data_that_it_began_with_alone(arguments, table, tmp_path, monkeypatch):
    rows = table.read_text().splitlines(keepends=True)
    other = tmp_path / table.name
    other.write_text("".join(rows))
    begun = [*arguments, f"--data.path={other}", "--optim.max_steps=2", "--eval.bootstrap_samples=0"]
    with monkeypatch.context() as patch:
        patch.setattr(run_bundle, "publish_run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.main(begun)
    other.write_text("".join(rows[:-1]))
    for command, given in ((run, [*begun, "--run.resume=true"]), (publish, [str(tmp_path / "runs/default")])):
        with pytest.raises(ConfigError, match=r"the data of the run in .*default have changed since it began"):
            command.main(given)
    other.write_text("".join(rows))
    run.main([*begun, "--run.resume=true"])
    assert Bundle.read(tmp_path / "runs/default/bundle")


def test_a_run_that_another_process_trains_is_left_alone(arguments, tmp_path):
    folder = RunFolder(tmp_path / "runs/default")
    lock = folder.lock()
    folder.logs.mkdir()
    (folder.logs / "train.jsonl").write_text("{}")
    with pytest.raises(ConfigError, match="runs/default is being written by process"):
        run.main([*arguments, "--run.overwrite=true"])
    assert (folder.logs / "train.jsonl").read_text() == "{}"
    lock.close()


def test_a_finished_run_is_replaced(arguments, tmp_path):
    run.main(arguments)
    first = Bundle.read(tmp_path / "runs/default/bundle").seal
    run.main([*arguments, "--run.seed=7"])
    assert Bundle.read(tmp_path / "runs/default/bundle").seal != first


def test_resuming_a_run_that_is_not_there_names_those_that_are(arguments, tmp_path):
    with pytest.raises(ConfigError, match=r"no run 'defalt' in .*runs to resume\. Leave --run.resume out to start one"):
        run.main([*arguments, "--run.name=defalt", "--run.resume=true"])
    assert not (tmp_path / "runs").exists()
    for name in ("a", "b"):
        RunFolder(tmp_path / "runs" / name).path.mkdir(parents=True)
        (tmp_path / "runs" / name / "training.yaml").touch()
    with pytest.raises(ConfigError, match=r"no run 'defalt' in .*runs to resume\. The runs there are: a, b"):
        run.main([*arguments, "--run.name=defalt", "--run.resume=true"])


def test_a_run_that_fails_before_it_trains_leaves_no_folder(arguments, tmp_path):
    with pytest.raises(EmotionError, match="looked for /nowhere/x.csv"):
        run.main([*arguments, "--data.path=/nowhere/x.csv"])
    (tmp_path / "empty.csv").write_text("text,label\n")
    with pytest.raises(EmotionError, match="empty.csv"):
        run.main([*arguments, f"--data.path={tmp_path / 'empty.csv'}"])
    assert not (tmp_path / "runs").exists()


def test_no_path_of_this_machine_is_sealed(finished):
    machine = {str(finished.parents[1]), str(Path(__file__).parents[2]), str(Path.home())}
    for name in ("training.yaml", "bundle.json", "report.html", "README.md", "config.json", "metrics.json"):
        content = (finished / "bundle" / name).read_text()
        assert [path for path in machine if path in content] == [], name
    sealed = yaml.safe_load((finished / "bundle/training.yaml").read_text())
    assert (sealed["data"]["path"], sealed["run"]["output_dir"]) == ("table.jsonl", "runs")
    assert yaml.safe_load((finished / "training.yaml").read_text())["run"]["output_dir"] == str(finished.parent)


def test_a_card_promises_transformers_only_what_it_can_do(finished):
    card = (finished / "bundle/README.md").read_text()
    assert json.loads((finished / "bundle/bundle.json").read_text())["pooling"] == "mean"
    assert "library_name" not in card
    assert "pipeline_tag" not in card
    assert "`transformers.pipeline` cannot serve it" in card


def test_the_link_to_the_newest_run_moves_only_when_asked(arguments, tmp_path):
    config, _ = parse_options(Config, arguments, prog="train", description="")
    assert run.run(config, link_latest=False).path == tmp_path / "runs/default/bundle"
    assert (tmp_path / "runs/default/finished").is_file()
    assert not (tmp_path / "runs/latest").exists()


def test_without_a_test_split_dev_alone_is_reported(arguments, tmp_path):
    run.main([*arguments, "--data.test_fraction=0"])
    assert set(Bundle.read(tmp_path / "runs/default/bundle").metrics()) == {"dev"}


def mistakes(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Name of a mistake -> the argument that makes it, and what is said of it."""
    empty, latin = tmp_path / "empty.csv", tmp_path / "latin.csv"
    empty.write_text("text,label\n")
    latin.write_bytes("text,label\ncaf\xe9,joy\n".encode("latin-1"))
    other = tmp_path / "labels.txt"
    other.write_text("red\ngreen\n")
    return {
        "missing data": ("--data.path=/nowhere/x.csv", "looked for /nowhere/x.csv"),
        "empty corpus": (f"--data.path={empty}", "empty.csv"),
        "not UTF-8": (f"--data.path={latin}", "latin.csv is not UTF-8: byte 0xe9 in line 2"),
        "labels that disagree": (f"--data.labels_file={other}", "red"),
        "model out of reach": ("--model.name=nobody/nothing", "use 'starter' or a local folder"),
        "no such folder": ("--model.name=./nothing", "no folder ./nothing"),
        "name": ("--run.name=a/b", "run.name is 'a/b'"),
        "fp16": ("--optim.precision=fp16", "needs a CUDA GPU"),
        "head": ("--model.head_activation=swish", "allowed: auto, gelu, tanh, none or null"),
        "length": ("--data.max_length=2", "max_length 2 with head_tokens"),
        "unknown key": ("--optim.lrr=1", "did you mean 'optim.lr'?"),
    }


NAMES = ("missing data", "empty corpus", "not UTF-8", "labels that disagree", "model out of reach", "no such folder",
         "name", "fp16", "head", "length", "unknown key")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_users_mistake_is_one_clear_line(arguments, tmp_path, name, monkeypatch, capsys):
    change, message = mistakes(tmp_path)[name]
    monkeypatch.setattr(sys, "argv", ["training.run", *arguments, change])
    with pytest.raises(SystemExit) as ended:
        run.run_command(run.main)
    assert ended.value.code == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in error
    assert not (tmp_path / "runs/default/bundle").exists()


def test_a_full_disk_while_writing_the_bundle_leaves_the_old_one(arguments, tmp_path, monkeypatch, capsys):
    run.main(arguments)
    before = Bundle.read(tmp_path / "runs/default/bundle").seal

    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    monkeypatch.setattr(sys, "argv", ["training.run", *arguments])
    monkeypatch.setattr(train, "train", lambda *_, **__: train.Progress(1, 1, 0.5, []))
    with pytest.raises(SystemExit) as caught:
        run.run_command(run.main)
    assert caught.value.code == 2
    assert "The disk is full: free some space" in capsys.readouterr().err
    assert Bundle.read(tmp_path / "runs/default/bundle").seal == before
    assert [path for path in (tmp_path / "runs/default").iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_a_mistake_on_the_command_line_shows_no_traceback(tmp_path):
    environment = {**os.environ, "EMOTION_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "training.run", "--optim.lrr", "1", f"--run.output_dir={tmp_path}"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "error: unknown key 'optim.lrr' on the command line (did you mean 'optim.lr'?). --help-all lists every key."
    ]
