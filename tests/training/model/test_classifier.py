"""The model as configured: pooling, head and length."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.calibration import sigmoid
from shared.errors import ConfigError
from tests.helpers import tiny_checkpoint
from training.config import Config, DataConfig, LossConfig, ModelConfig
from training.model.classifier import build_model, build_tokenizer, pooling_of

LABELS = ("joy", "anger", "fear")
FREQUENCIES = np.array([0.4, 0.1, 0.02])
IDS = torch.tensor([[1, 70, 80, 90, 2], [1, 75, 60, 61, 2]])


def config(model, max_length=64, **options):
    return Config(model=ModelConfig(name=str(model), **options), data=DataConfig(max_length=max_length))


@pytest.mark.parametrize(
    ("name", "asked", "pooling"), [("starter", "auto", "mean"), ("x/y", "auto", "cls"), ("starter", "cls", "cls")]
)
def test_pooling_is_chosen_by_the_checkpoint_unless_named(name, asked, pooling):
    assert pooling_of(ModelConfig(name=name, pooling=asked)) == pooling


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_new_model_predicts_about_the_frequencies_and_yet_tells_texts_apart(tiny_model, pooling):
    torch.manual_seed(0)
    model = build_model(config(tiny_model, pooling=pooling), LABELS, FREQUENCIES).eval()
    with torch.no_grad():
        logits = model(input_ids=IDS).logits.numpy()
    assert model.classifier.bias.tolist() == pytest.approx(np.log(FREQUENCIES / (1 - FREQUENCIES)).tolist(), abs=1e-5)
    assert np.abs(logits[0] - logits[1]).max() > 0.1
    assert (sigmoid(logits).argmax(axis=1) == 0).all()


def test_the_encoder_keeps_its_pretrained_weights(tiny_model):
    from safetensors.torch import load_file

    model = build_model(config(tiny_model), LABELS, FREQUENCIES)
    stored = load_file(tiny_model / "model.safetensors")
    for name, weight in model.base_model.named_parameters():
        assert torch.equal(weight[: len(stored[name])], stored[name])


def test_a_label_that_never_occurs_starts_at_a_finite_bias(tiny_model):
    model = build_model(config(tiny_model), LABELS, np.array([0.0, 1.0, 0.5]))
    assert torch.isfinite(model.classifier.bias).all()


@pytest.mark.parametrize(("family", "longest"), [("bert", 128), ("roberta", 127)])
def test_rows_longer_than_the_positions_are_refused(tmp_path, family, longest):
    checkpoint = tiny_checkpoint(tmp_path / family, family=family)
    build_model(config(checkpoint, longest, pooling="mean"), LABELS, FREQUENCIES)
    with pytest.raises(ConfigError, match=f"data.max_length is {longest + 1}; {family} here takes at most {longest}"):
        build_model(config(checkpoint, longest + 1, pooling="mean"), LABELS, FREQUENCIES)


def test_relative_positions_alone_allow_any_length(tiny_model):
    assert build_model(config(tiny_model, 4096), LABELS, FREQUENCIES)


def test_masks_of_the_corpus_are_one_token_each(tiny_model):
    tokenizer = build_tokenizer(config(tiny_model))
    ids = tokenizer.tokens.encode(["I miss [NAME]"])[0].ids
    assert tokenizer.source.token_to_id("[NAME]") in ids
    assert build_model(config(tiny_model), LABELS, FREQUENCIES).get_input_embeddings().num_embeddings > max(ids)


def saved(tiny_model, folder, pooling):
    """A classifier, as it is in the bundle's folder."""
    trained = build_model(config(tiny_model, pooling=pooling), LABELS, FREQUENCIES).eval()
    trained.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_model / name).read_bytes())
    return trained


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_kept_head_goes_on_where_the_bundle_ended(tiny_model, tmp_path, pooling):
    trained = saved(tiny_model, tmp_path / "bundle", pooling)
    again = config(tmp_path / "bundle", pooling=pooling, keep_head=True)
    with torch.no_grad():
        expected, found = (model(input_ids=IDS).logits for model in (trained, build_model(again, LABELS, FREQUENCIES)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="has other labels than this run.*in their order, as data.labels"):
        build_model(again, ("joy", "fear", "anger"), FREQUENCIES)
    other = "mean" if pooling == "cls" else "cls"
    with pytest.raises(ConfigError, match=f"has the pooling {pooling}. Say --model.pooling {pooling}"):
        build_model(config(tmp_path / "bundle", pooling=other, keep_head=True), LABELS, FREQUENCIES)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_kept_head_has_the_dropout_and_the_task_of_its_run(tiny_model, tmp_path, pooling):
    assert saved(tiny_model, tmp_path / "bundle", pooling).config.problem_type == "multi_label_classification"
    again = config(
        tmp_path / "bundle", pooling=pooling, keep_head=True, hidden_dropout=0.45, attention_dropout=0.35
    )  # fmt: skip
    model = build_model(replace(again, loss=LossConfig(name="cross_entropy")), LABELS, FREQUENCIES)
    assert {layer.p for layer in model.base_model.modules() if isinstance(layer, torch.nn.Dropout)} == {0.45, 0.35}
    assert model.config.problem_type == "single_label_classification"
