"""The fast attention is the function of transformers' own, forward and backward, and trains like it."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, DebertaV2Model

from shared.fast_deberta import attention as fast_attention
from shared.fast_deberta import disentangled
from shared.fast_deberta.attention import FastEncoder, FastSelfAttention, use_fast_attention, use_stock_attention
from shared.fast_deberta.cpu_kernels import FastDropout
from shared.fast_deberta.fused_attention import fused_attention
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


def stock_model(seed: int = 0, *, dropout: float = 0.0, **options: Any) -> DebertaV2Model:
    """A random two-layer model whose relative positions matter: weights ten times as large as usual."""
    torch.manual_seed(seed)
    model = DebertaV2Model(config_of(dropout=dropout, **options)).train()
    spread_biases(model)
    return model


def fast_copy(stock: nn.Module) -> Any:
    fast = copy.deepcopy(stock)
    assert use_fast_attention(fast) == 2
    return fast


def batch(length: int, rows: int = 3, *, empty_row: bool = False) -> dict[str, Tensor]:
    """Token ids and a mask whose first row is full and whose others are ever shorter."""
    ids = torch.randint(1, 60, (rows, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        mask[row, max(1, length - row * (length // 3 + 1)) :] = 0
    if empty_row:
        mask[-1] = 0
    return {"input_ids": ids, "attention_mask": mask}


def run(model: Any, inputs: dict[str, Tensor], *, padding: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and gradients of a loss that weighs every state, with those at padding or without."""
    states = model(**inputs).last_hidden_state
    weights = random_weights(states)
    model.zero_grad()
    if not padding:
        weights = weights * inputs["attention_mask"].unsqueeze(-1)
    (states * weights).sum().backward()
    return states.detach(), gradients_of(model)


def assert_same(
    stock: Any, fast: Any, inputs: dict[str, Tensor], outputs: float = 1e-5, gradients: float = 1e-4
) -> None:
    """Outputs within `outputs`; every gradient within `gradients` of its layer's largest."""
    expected, expected_grads = run(stock, inputs)
    actual, actual_grads = run(fast, inputs)
    assert (expected - actual).abs().max() < outputs
    assert_same_gradients(expected_grads, actual_grads, gradients)
    assert actual_grads.keys() <= expected_grads.keys()


@pytest.mark.parametrize(("norm", "conv"), [("layer_norm", 3), ("none", 0)])
@pytest.mark.parametrize(("buckets", "maximum"), [(32, -1), (8, 40), (-1, 16), (0, -1)])
@pytest.mark.parametrize("kinds", [BOTH, ["c2p"], ["p2c"], []])
@pytest.mark.parametrize("shared", [True, False])
def test_equals_transformers_over_all_options(
    shared: bool, kinds: list[str], buckets: int, maximum: int, norm: str, conv: int
) -> None:
    stock = stock_model(
        share_att_key=shared, pos_att_type=kinds, position_buckets=buckets, max_relative_positions=maximum,
        norm_rel_ebd=norm, conv_kernel_size=conv,
    )  # fmt: skip
    fast = fast_copy(stock)
    for length in (1, 2, 7, 64):
        assert_same(stock, fast, batch(length))


@pytest.mark.parametrize("length", [128, 129, 130, 300, 512])
@pytest.mark.parametrize("buckets", [256, -1])
def test_equals_transformers_on_long_texts(length: int, buckets: int) -> None:
    maximum = -1 if buckets > 0 else 100
    stock = stock_model(position_buckets=buckets, max_relative_positions=maximum)
    assert_same(stock, fast_copy(stock), batch(length, rows=2))


@pytest.mark.parametrize("options", [{}, {"position_biased_input": True, "type_vocab_size": 2, "norm_rel_ebd": "none"}])
def test_equals_transformers_without_padding(options: dict[str, Any]) -> None:
    stock = stock_model(**options)
    assert_same(stock, fast_copy(stock), batch(12, rows=1))


def test_equals_transformers_without_relative_attention() -> None:
    stock = stock_model(relative_attention=False)
    assert_same(stock, fast_copy(stock), batch(9))


def test_agrees_in_double_precision_to_the_scale_that_transformers_rounds() -> None:
    stock = stock_model(pos_att_type=["c2p"]).double()
    assert_same(stock, fast_copy(stock), batch(40), outputs=1e-6, gradients=1e-6)


@pytest.mark.parametrize("chunk", [1, 5000, 10**9])
def test_any_number_of_heads_at_a_time_gives_the_same(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disentangled, "_CHUNK_BYTES", chunk)
    stock = stock_model(share_att_key=False)
    assert_same(stock, fast_copy(stock), batch(20))


@pytest.mark.parametrize("kinds", [BOTH, ["c2p"], ["p2c"], []])
def test_fused_kernel_of_accelerators_gives_the_same(kinds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_attention, "_attention_on", lambda device: fused_attention)
    stock = stock_model(pos_att_type=kinds)
    fast = fast_copy(stock)
    for inputs in (batch(1), batch(23), batch(16, rows=1), batch(9, empty_row=True)):
        assert_same(stock, fast, inputs)


def test_row_of_padding_alone_gives_no_nan() -> None:
    stock = stock_model()
    assert_same(stock, fast_copy(stock), batch(9, empty_row=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fused", [False, True])
def test_half_precision_is_as_close_to_float32_as_transformers(
    dtype: torch.dtype, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fused:
        monkeypatch.setattr(fast_attention, "_attention_on", lambda device: fused_attention)
    stock = stock_model(initializer_range=0.1)
    fast, inputs = fast_copy(stock), batch(40, empty_row=True)
    exact, exact_grads = run(stock, inputs, padding=False)
    seen = inputs["attention_mask"].bool()
    with torch.autocast("cpu", dtype=dtype):
        stock_states, stock_grads = run(stock, inputs, padding=False)
        fast_states, fast_grads = run(fast, inputs, padding=False)
    assert fast_states.isfinite().all()
    assert all(grad.isfinite().all() for grad in fast_grads.values())
    assert (fast_states - exact)[seen].norm() < 1.5 * (stock_states - exact)[seen].norm()
    error = {name: (grad - exact_grads[name]).norm() for name, grad in fast_grads.items()}
    for name, grad in stock_grads.items():
        assert error[name] <= 2 * (grad - exact_grads[name]).norm() + 1e-3 * exact_grads[name].norm(), name


def test_model_stored_in_bfloat16_runs_without_autocast() -> None:
    fast = fast_copy(stock_model()).bfloat16()
    states, gradients = run(fast, batch(11))
    assert states.dtype == torch.bfloat16
    assert states.isfinite().all()
    assert all(grad.dtype == torch.bfloat16 for grad in gradients.values())


def test_attention_dropout_keeps_the_expectation() -> None:
    stock = stock_model(num_hidden_layers=1, num_attention_heads=4, attention_probs_dropout_prob=0.3)
    attention = copy.deepcopy(stock.encoder.layer[0].attention.self)
    use_fast_attention(fast := nn.ModuleList([attention]))
    states = torch.randn(1, 10, WIDTH)
    prepared = fast_attention.Prepared(None, None)
    attention.eval()
    with torch.no_grad():
        expected = attention(states, None, relative_pos=prepared)[0]
        fast.train()
        drawn = torch.stack([attention(states, None, relative_pos=prepared)[0] for _ in range(1000)])
    assert (drawn[0] != drawn[1]).any()
    assert (drawn.mean(0) - expected).abs().max() < 5 * drawn.std(0).max() / 1000**0.5


def test_gradients_are_right_for_the_dropout_that_was_drawn() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    tables = [torch.randn(10, 8, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    queries = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    options = disentangled.AttentionOptions(heads=2, scale=0.3, dropout=0.4)

    def seeded(*tensors: Tensor) -> Tensor:
        torch.manual_seed(5)
        mask = disentangled.AttentionMask.of(queries, torch.float64)
        return disentangled.DisentangledAttention.apply(*tensors, mask, options)

    assert torch.autograd.gradcheck(seeded, (*inputs, *tables))


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(reentrant: bool) -> None:
    plain = fast_copy(stock_model(dropout=0.1, conv_kernel_size=3))
    checkpointed = copy.deepcopy(plain)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": reentrant})
    checkpointed.enable_input_require_grads()
    torch.manual_seed(3)
    _, expected = run(plain, batch(20))
    torch.manual_seed(3)
    _, actual = run(checkpointed, batch(20))
    assert expected.keys() == actual.keys()
    for name, grad in expected.items():
        torch.testing.assert_close(actual[name], grad, rtol=1e-4, atol=1e-5, msg=name)


def test_lora_on_all_projections_equals_transformers() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=4, target_modules=["query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj", "dense"],
        init_lora_weights=False,
    )  # fmt: skip
    torch.manual_seed(0)
    stock = inject_adapter_in_model(config, stock_model(share_att_key=False))
    fast = fast_copy(stock)
    assert_same(stock, fast, batch(14))
    _, gradients = run(fast, batch(14))
    assert any("pos_key_proj.lora_A" in name for name in gradients)
    assert all(grad.abs().max() > 0 for name, grad in gradients.items() if "lora" in name)


def test_wraps_in_distributed_data_parallel_without_unused_parameters(tmp_path: Any) -> None:
    from torch import distributed

    fast = fast_copy(stock_model(share_att_key=False))
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(fast)
        for _ in range(2):  # a parameter without gradient raises in the second pass
            _, gradients = run(wrapped, batch(8))
        assert len(gradients) == len(list(fast.parameters()))
    finally:
        distributed.destroy_process_group()


def test_state_dict_is_that_of_transformers_and_the_exchange_is_undone() -> None:
    stock = stock_model(dropout=0.1)
    fast = fast_copy(stock)
    assert list(fast.state_dict()) == list(stock.state_dict())
    assert isinstance(fast.encoder, FastEncoder)
    assert sum(isinstance(module, FastSelfAttention) for module in fast.modules()) == 2
    assert use_fast_attention(fast) == 0
    assert use_stock_attention(fast) == 2
    assert [type(module) for module in fast.modules()] == [type(module) for module in stock.modules()]


def test_whole_model_survives_pickling() -> None:
    fast = fast_copy(stock_model()).eval()
    stored = io.BytesIO()
    torch.save(fast, stored)
    stored.seek(0)
    again = torch.load(stored, weights_only=False)
    assert torch.equal(again(**batch(6)).last_hidden_state, fast(**batch(6)).last_hidden_state)


def test_prediction_under_inference_mode_does_not_spoil_training() -> None:
    fast = fast_copy(stock_model())
    with torch.inference_mode():
        fast(**batch(37))
    _, gradients = run(fast, batch(37))
    assert gradients["encoder.rel_embeddings.weight"].abs().max() > 0


def test_attention_weights_and_hidden_states_are_those_of_transformers() -> None:
    stock = stock_model().eval()
    fast = fast_copy(stock)
    for options in ({"output_attentions": True}, {"output_hidden_states": True}, {"return_dict": False}):
        expected, actual = stock(**batch(6), **options), fast(**batch(6), **options)
        assert len(expected) == len(actual)
        for one, other in zip(expected[-1], actual[-1], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


# lines of transformers 5 that make tensors of sizes warn in a trace; transformers 4 had them in a script
@pytest.mark.filterwarnings("ignore::Warning:transformers.models.deberta_v2.modeling_deberta_v2")
def test_traced_model_holds_plain_operators_alone() -> None:
    fast = fast_copy(stock_model()).eval()
    inputs = batch(6)
    traced = torch.jit.trace(fast, example_kwarg_inputs=inputs, strict=False)
    assert "PythonOp" not in str(traced.inlined_graph)
    torch.testing.assert_close(
        traced(**inputs)["last_hidden_state"], fast(**inputs).last_hidden_state, rtol=1e-4, atol=1e-5
    )


def test_other_encoders_are_left_alone() -> None:
    bert = BertModel(BertConfig(vocab_size=60, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2))
    before = [type(module) for module in bert.modules()]
    assert use_fast_attention(bert) == 0
    assert [type(module) for module in bert.modules()] == before


def test_dropouts_of_the_encoder_are_exchanged_but_none_outside_it() -> None:
    model = nn.ModuleDict({"encoder": stock_model(dropout=0.1), "other": nn.Dropout(0.2)})
    use_fast_attention(model)
    assert type(model["other"]) is nn.Dropout
    assert {type(m) for m in model["encoder"].modules() if isinstance(m, nn.Dropout)} == {FastDropout}
