"""A run ends in a bundle whatever its device rounds like; one whose publishing fails is finished by one command."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from shared.bundle import Bundle
from shared.errors import ConfigError, EmotionError, ModelError
from shared.modeling.classifier import load_classifier
from shared.modeling.device import torch_threads
from training import publish, run
from training.evaluation import device
from training.evaluation import publish as bundle_writer
from training.model.inference import predict_logits
from training.runtime.run_folder import RunFolder


def logits_in_bf16(model, tokenizer, rows, *, batch_size):
    """A device that rounds otherwise: the same model with weights and states in bf16."""
    return predict_logits(copy.deepcopy(model).bfloat16(), tokenizer, rows, batch_size=batch_size)


def test_a_device_that_rounds_otherwise_ends_in_a_bundle_with_the_logits_of_the_cpu(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "logits_on_device", logits_in_bf16)
    run.main(arguments)
    bundle = Bundle.read(tmp_path / "runs/default/bundle")
    reference, tokenizer = bundle.reference(), bundle.tokenizer()
    rows = [row.ids for row in tokenizer.encode(reference.texts)]
    sealed = load_classifier(bundle.path)
    again = predict_logits(sealed, tokenizer, rows, batch_size=7)
    assert np.abs(again - reference.logits).max() < 1e-5
    seen = bundle.metrics()["dev"]["training_device"]
    assert seen["max_logit_difference"] == pytest.approx(
        np.abs(logits_in_bf16(sealed, tokenizer, rows, batch_size=32) - reference.logits).max(), rel=1e-3
    )
    assert seen["max_logit_difference"] > seen["explained_by_rounding"]
    assert (seen["device"], seen["rows"], seen["decisions"]) == ("cpu", len(rows), reference.logits.size)
    assert "more than rounding explains" in (tmp_path / "runs/default/logs/run.log").read_text()


def test_another_number_of_threads_is_within_rounding_and_recorded(arguments, tmp_path, monkeypatch):
    def on_other_threads(*given, **options):
        with torch_threads(2):
            return predict_logits(*given, **options)

    monkeypatch.setattr(device, "logits_on_device", on_other_threads)
    run.main(arguments)
    seen = Bundle.read(tmp_path / "runs/default/bundle").metrics()["dev"]["training_device"]
    assert seen["max_logit_difference"] < seen["explained_by_rounding"]
    assert seen["different_decisions"] == 0
    assert "more than rounding explains" not in (tmp_path / "runs/default/logs/run.log").read_text()


def failing(*_, **__):
    raise ModelError("the bundle cannot be written today.")


CASES = {
    "full": [],
    "lora averaged": ["--tuning.method=lora", "--optim.ema_decay=0.9", "--model.pooling=mean"],
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_without_a_bundle_says_the_command_that_makes_the_same_one(
    arguments, tmp_path, monkeypatch, capsys, case
):
    options = [*arguments, *CASES[case]]
    run.main([*options, "--run.name=whole"])
    with monkeypatch.context() as broken:
        broken.setattr(bundle_writer, "seal", failing)
        with pytest.raises(ModelError, match="cannot be written today"):
            run.main([*options, "--run.name=cut"])
    folder = tmp_path / "runs/cut"
    assert not (folder / "bundle").exists()
    command = f"python -m training.publish {folder}"
    assert f"the trained weights are kept in {folder / 'checkpoints'}" in (said := capsys.readouterr().err)
    assert f"finish with: {command}" in said
    if case != "full":
        folder = folder.rename(tmp_path / "runs/moved")
    assert publish.main([str(folder)]) == 0
    made, whole = (Bundle.read(path / "bundle") for path in (folder, tmp_path / "runs/whole"))
    assert np.array_equal(made.reference().logits, whole.reference().logits)
    assert made.metrics() == whole.metrics()
    assert made.manifest.provenance["training"] == whole.manifest.provenance["training"]
    assert (folder / "finished").is_file()
    assert (tmp_path / "runs/latest").resolve() == folder


def test_a_folder_without_a_run_or_without_evaluated_weights_cannot_be_published(arguments, tmp_path, monkeypatch):
    with pytest.raises(
        ConfigError, match=r"no run in .*: training\.yaml is missing\. Give a run's folder: runs/<name>"
    ):
        publish.main([str(tmp_path)])
    monkeypatch.setattr("training.loop.train.train", failing)
    with pytest.raises(EmotionError):
        run.main(arguments)
    folder = tmp_path / "runs/default"
    assert not folder.exists()  # nothing was trained
    folder.mkdir(parents=True)
    (folder / "training.yaml").write_text("run: {}\n")
    with pytest.raises(ConfigError, match=r"no checkpoint in .* was evaluated on dev.*Train first: python -m training"):
        publish.main([str(folder)])


def test_the_best_checkpoint_is_found_by_its_name_alone(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (2, 4):
        folder.checkpoint(step).mkdir(parents=True)
        state = '{"best_model_checkpoint": "/another/machine/checkpoints/checkpoint-2"}'
        (folder.checkpoint(step) / "trainer_state.json").write_text(state)
    assert folder.best_checkpoint() == folder.checkpoint(2)
    Path(folder.checkpoint(2) / "trainer_state.json").unlink()
    with pytest.raises(ConfigError, match=r"was evaluated on dev.* Continue the run: python -m training.run --config"):
        folder.best_checkpoint()
