"""The fast linear layer is the usual one, forward and backward."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from shared.fast_deberta import cpu_kernels
from shared.fast_deberta.cpu_kernels import FastLinear


def pair(*, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    usual = nn.Linear(24, 40, bias=bias)
    fast = FastLinear(24, 40, bias=bias)
    fast.load_state_dict(usual.state_dict())
    return usual, fast


def run(layer: nn.Linear, x: Tensor) -> list[Tensor | None]:
    """Outputs and gradients of a loss that weighs every output."""
    layer.zero_grad()
    x = x.detach().requires_grad_()
    y = layer(x)
    (y * torch.arange(y.numel()).view(y.shape).cos()).sum().backward()
    return [y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]


INPUTS = {
    "rows": torch.randn(7, 24),
    "texts": torch.randn(3, 5, 24),
    "one": torch.randn(1, 24),
    "columns": torch.randn(24, 9).t(),
    "swapped": torch.randn(5, 3, 24).transpose(0, 1),
    "part": torch.randn(6, 50)[:, 3:27],
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", INPUTS)
def test_equals_the_usual_layer(name: str, bias: bool) -> None:
    usual, fast = pair(bias=bias)
    for expected, actual in zip(run(usual, INPUTS[name]), run(fast, INPUTS[name]), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(fast(INPUTS[name]), usual(INPUTS[name]), rtol=1e-5, atol=1e-5)


def test_gradients_that_nobody_needs_are_left_out() -> None:
    _, fast = pair()
    fast.weight.requires_grad_(False)
    _, inputs, weight, bias = run(fast, INPUTS["texts"])
    assert weight is None
    assert inputs is not None
    assert bias is not None


def test_gradient_of_a_sum_which_has_no_memory_of_its_own() -> None:
    (usual, fast), x = pair(), INPUTS["texts"]
    usual(x).sum().backward()
    fast(x).sum().backward()
    torch.testing.assert_close(fast.weight.grad, usual.weight.grad, rtol=1e-5, atol=1e-5)


def test_retained_graph_gives_the_same_gradient_again() -> None:
    _, fast = pair()
    loss = fast(INPUTS["rows"]).square().sum()
    loss.backward(retain_graph=True)
    once = copy.deepcopy(fast.weight.grad)
    loss.backward()
    assert once is not None
    torch.testing.assert_close(fast.weight.grad, 2 * once)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_go_the_usual_way(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_kernels, "_product", None)
    usual, fast = pair()
    for expected, actual in zip(
        run(usual.to(dtype), INPUTS["rows"].to(dtype)), run(fast.to(dtype), INPUTS["rows"].to(dtype)), strict=True
    ):
        torch.testing.assert_close(actual, expected)


def test_autocast_vectors_and_empty_batches_go_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_kernels, "_product", None)
    _, fast = pair()
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(INPUTS["rows"]).dtype == torch.bfloat16
    assert fast(torch.randn(24)).shape == (40,)
    assert fast(torch.randn(0, 24)).shape == (0, 40)


def test_build_without_onednn_goes_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_kernels, "_HAS_ONEDNN", False)
    monkeypatch.setattr(cpu_kernels, "_product", None)
    usual, fast = pair()
    assert torch.equal(fast(INPUTS["rows"]), usual(INPUTS["rows"]))


def test_mixed_types_are_the_mistake_they_always_were() -> None:
    _, fast = pair()
    with pytest.raises(RuntimeError, match="dtype"):
        fast(INPUTS["rows"].double())


def test_trace_holds_plain_operators_alone() -> None:
    _, fast = pair()
    traced = torch.jit.trace(fast, INPUTS["rows"])
    assert "PythonOp" not in str(traced.inlined_graph)
    assert "mkldnn" not in str(traced.inlined_graph)


def test_is_an_ordinary_linear_layer_to_whom_it_may_concern() -> None:
    usual, fast = pair()
    assert isinstance(fast, nn.Linear)
    assert list(fast.state_dict()) == list(usual.state_dict())
    assert fast.extra_repr() == usual.extra_repr()
