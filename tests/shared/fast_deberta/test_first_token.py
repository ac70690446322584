"""A classifier whose last layer is computed for the first token alone is transformers' own, forward and backward."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, DebertaV2ForSequenceClassification

from shared.fast_deberta.attention import use_fast_attention, use_stock_attention
from tests.shared.fast_deberta.random_deberta import (
    BOTH,
    WIDTH,
    assert_same_gradients,
    config_of,
    gradients_of,
    random_weights,
    spread_biases,
)

pytestmark = pytest.mark.usefixtures("quick_execution")

PROJECTIONS = ["query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj"]


def stock_classifier(seed: int = 0, *, dropout: float = 0.0, **options: Any) -> DebertaV2ForSequenceClassification:
    """A random classifier with its head on the first token."""
    torch.manual_seed(seed)
    head = {"pooler_hidden_size": WIDTH, "num_labels": 5, "problem_type": "multi_label_classification"}
    model = DebertaV2ForSequenceClassification(config_of(dropout=dropout, **head, **options)).train()
    spread_biases(model)
    return model


def fast_copy(stock: nn.Module) -> Any:
    fast = copy.deepcopy(stock)
    use_fast_attention(fast)
    return fast


def batch(length: int) -> dict[str, Tensor]:
    """Four rows: full, shorter, of a single token, and empty."""
    ids = torch.randint(1, 60, (4, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones_like(ids)
    mask[1, max(1, length // 2) :] = 0
    mask[2, 1:] = 0
    mask[3] = 0
    return {"input_ids": ids, "attention_mask": mask}


def run(model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    logits = model(**inputs).logits
    model.zero_grad()
    (logits * random_weights(logits)).sum().backward()
    return logits.detach(), gradients_of(model)


def assert_same(stock: Any, fast: Any, inputs: dict[str, Tensor]) -> None:
    """Logits within 1e-5; every gradient within 1e-4 of its layer's largest."""
    seen = tokens_of_the_last_layer(fast)
    expected, expected_grads = run(stock, inputs)
    actual, actual_grads = run(fast, inputs)
    assert seen == [1]
    assert (expected - actual).abs().max() < 1e-5
    assert actual_grads.keys() == expected_grads.keys()
    assert_same_gradients(expected_grads, actual_grads)


def tokens_of_the_last_layer(model: Any) -> list[int]:
    """Filled by every forward pass: for how many tokens the last layer was computed."""
    seen: list[int] = []
    dense = model.deberta.encoder.layer[-1].intermediate.dense
    dense.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[1]))
    return seen


@pytest.mark.parametrize(("norm", "conv"), [("layer_norm", 3), ("none", 0)])
@pytest.mark.parametrize(("buckets", "maximum"), [(32, -1), (8, 40), (-1, 16)])
@pytest.mark.parametrize("kinds", [BOTH, ["c2p"], ["p2c"], []])
@pytest.mark.parametrize("shared", [True, False])
def test_equals_transformers_over_all_options(
    shared: bool, kinds: list[str], buckets: int, maximum: int, norm: str, conv: int
) -> None:
    stock = stock_classifier(
        share_att_key=shared, pos_att_type=kinds, position_buckets=buckets, max_relative_positions=maximum,
        norm_rel_ebd=norm, conv_kernel_size=conv,
    )  # fmt: skip
    for length in (1, 2, 7, 64):
        assert_same(stock, fast_copy(stock), batch(length))


def test_equals_transformers_without_padding_and_without_relative_attention() -> None:
    whole = {"input_ids": batch(9)["input_ids"]}
    for stock in (stock_classifier(), stock_classifier(relative_attention=False)):
        assert_same(stock, fast_copy(stock), whole)
        assert_same(stock, fast_copy(stock), batch(9))


@pytest.mark.parametrize("targets", [PROJECTIONS, ["query_proj"], ["key_proj"], ["value_proj"]])
def test_adapters_on_projections_are_not_passed_by(targets: list[str]) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    stock = stock_classifier(share_att_key=False)
    inject_adapter_in_model(LoraConfig(target_modules=targets, r=2, init_lora_weights=False), stock)
    assert_same(stock, fast_copy(stock), batch(9))


@pytest.mark.parametrize("watched", ["key_proj", "value_proj"])
def test_who_listens_to_a_projection_hears_it(watched: str) -> None:
    stock = stock_classifier()
    fast = fast_copy(stock)
    shapes: list[tuple[int, ...]] = []
    projection = getattr(fast.deberta.encoder.layer[-1].attention.self, watched)
    projection.register_forward_hook(lambda _, inputs, output: shapes.append(tuple(output.shape)))
    assert_same(stock, fast, batch(9))
    assert (4, 9, 32) in shapes


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(reentrant: bool) -> None:
    fast = fast_copy(stock_classifier())
    logits, gradients = run(fast, batch(9))
    fast.gradient_checkpointing_enable({"use_reentrant": reentrant})
    again, checkpointed = run(fast, batch(9))
    torch.testing.assert_close(again, logits)
    assert checkpointed.keys() == gradients.keys()
    for name, grad in gradients.items():
        torch.testing.assert_close(checkpointed[name], grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_close_to_float32_as_transformers(dtype: torch.dtype) -> None:
    stock = stock_classifier().eval()
    fast = fast_copy(stock)
    inputs = batch(24)
    with torch.no_grad():
        exact = stock(**inputs).logits
        with torch.autocast("cpu", dtype):
            errors = [(model(**inputs).logits.float() - exact).abs().mean() for model in (stock, fast)]
    assert errors[1] < 1.5 * errors[0] + 1e-3


def test_dropout_of_the_weights_keeps_the_expectation() -> None:
    stock = stock_classifier(num_hidden_layers=1)
    fast = fast_copy(stock)
    inputs = {"input_ids": batch(6)["input_ids"][:1].repeat(4000, 1)}
    with torch.no_grad():
        exact = fast(input_ids=inputs["input_ids"][:1]).logits
        fast.deberta.encoder.layer[0].attention.self.dropout.p = 0.2
        attended: list[Tensor] = []
        output = fast.deberta.encoder.layer[0].attention.output.dense
        output.register_forward_hook(lambda _, values, result: attended.append(values[0]))
        fast(**inputs)
        fast.eval()
        assert torch.equal(fast(input_ids=inputs["input_ids"][:1]).logits, exact)
    drawn, plain = attended[0][:, 0], attended[1][0, 0]
    assert drawn.std(dim=0).min() > 0
    assert ((drawn.mean(dim=0) - plain).abs() < 5 * drawn.std(dim=0) / 4000**0.5).all()


def test_who_wants_every_state_gets_it() -> None:
    stock = stock_classifier()
    fast, inputs = fast_copy(stock), batch(9)
    seen = tokens_of_the_last_layer(fast)
    for expected, actual in zip(
        stock(**inputs, output_hidden_states=True).hidden_states,
        fast(**inputs, output_hidden_states=True).hidden_states,
        strict=True,
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    fast.config.output_hidden_states = True
    fast(**inputs)
    fast.config.output_hidden_states = False
    fast(inputs["input_ids"], inputs["attention_mask"], None, None, None, None, None, True)
    assert fast.deberta(**inputs).last_hidden_state.shape == (4, 9, 32)
    assert seen == [9] * 4
    fast(**inputs)
    assert seen[-1] == 1


def test_failed_pass_leaves_the_encoder_as_it_was() -> None:
    fast = fast_copy(stock_classifier())
    with pytest.raises(IndexError):
        fast(input_ids=torch.tensor([[1, 1000]]))
    assert fast.deberta(**batch(9)).last_hidden_state.shape == (4, 9, 32)


def test_only_layer_with_a_convolution_is_computed_for_all_tokens() -> None:
    stock = stock_classifier(num_hidden_layers=1, conv_kernel_size=3)
    fast = fast_copy(stock)
    seen = tokens_of_the_last_layer(fast)
    torch.testing.assert_close(fast(**batch(9)).logits, stock(**batch(9)).logits, rtol=1e-4, atol=1e-5)
    assert seen == [9]


def test_saved_classifier_names_the_class_of_transformers_and_the_exchange_is_undone(tmp_path: Path) -> None:
    stock = stock_classifier()
    fast = fast_copy(stock)
    fast.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["DebertaV2ForSequenceClassification"]
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is DebertaV2ForSequenceClassification
    assert list(fast.state_dict()) == list(stock.state_dict())
    assert inspect.signature(fast.forward) == inspect.signature(stock.forward)
    assert torch.equal(pickle.loads(pickle.dumps(fast))(**batch(9)).logits, fast(**batch(9)).logits)
    use_stock_attention(fast)
    assert type(fast) is DebertaV2ForSequenceClassification
