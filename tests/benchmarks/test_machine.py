from __future__ import annotations

import json

import pytest

from benchmarks.contenders.models import V3_SMALL, ModelShape
from benchmarks.machine import (
    Limits,
    attention_operations,
    dense_operations,
    describe_machine,
    limit_seconds,
    measure_limits,
    training_limit_seconds,
)


def test_a_description_names_what_figures_depend_on_and_is_json() -> None:
    described = json.loads(json.dumps(describe_machine(["numpy", "no-such-package"])))
    assert described["cpu"]
    assert described["cores"] >= described["usable_cores"] >= 1
    assert list(described["versions"]) == ["python", "numpy"]
    assert described["date"].endswith("+00:00")


def test_limits_are_positive_and_the_best_of_two_is_the_larger() -> None:
    limits = measure_limits(1, seconds=0.0, scale=16)
    assert all(rate > 0 for rate in limits.as_dict().values())
    first, second = Limits(1, 2, 3, 4, 5), Limits(5, 4, 3, 2, 1)
    assert first.best(second) == Limits(5, 4, 3, 4, 5)
    assert first.rate("fp32") == 3
    assert first.rate("int8") == 2
    assert first.rate("bf16") == 4


LIMITS = Limits(fp32_onnxruntime=200e9, int8_onnxruntime=800e9, fp32_torch=100e9, bf16_torch=400e9, read_bytes=50e9)
MEAN = ModelShape("by hand", layers=2, width=4, heads=2, inner=8, vocabulary=10, pooling="mean")
CLS = ModelShape("by hand", layers=2, width=4, heads=2, inner=8, vocabulary=10, pooling="cls")


def test_operations_by_hand() -> None:
    # a token and layer: four products 4 x 4 and two 4 x 8, a multiply and an add each
    assert dense_operations(MEAN, batch=1, length=3) == 2 * 3 * 2 * (4 * 16 + 2 * 32)
    # with CLS pooling the last layer has keys and values of three tokens, the rest for one
    assert dense_operations(CLS, batch=1, length=3) == 3 * 2 * 128 + 3 * 2 * 32 + 1 * 2 * 96
    assert attention_operations(MEAN, batch=1, length=3) == 2 * 4 * (2 * 3 * 3 * 4)
    assert attention_operations(CLS, batch=1, length=3) == (3 + 1) * 4 * (2 * 3 * 4)


def test_six_layers_of_768_need_85_million_operations_a_token() -> None:
    shape = ModelShape("v3-small", 6, 768, 12, 3072, vocabulary=8000, pooling="mean")
    assert dense_operations(shape, 1, 1) == pytest.approx(85e6, rel=0.01)


def test_a_large_batch_is_bound_by_products_and_a_small_one_by_reading_weights() -> None:
    weights = 6 * (4 * 768**2 + 2 * 768 * 3072)
    assert limit_seconds(V3_SMALL, 1, 1, "fp32", LIMITS) == weights * 4 / 50e9
    assert limit_seconds(V3_SMALL, 1, 1, "int8", LIMITS) == weights / 50e9
    large = dense_operations(V3_SMALL, 32, 32) / 800e9 + attention_operations(V3_SMALL, 32, 32) / 200e9
    assert limit_seconds(V3_SMALL, 32, 32, "int8", LIMITS) == large


def test_a_training_step_costs_three_forward_passes_in_torch() -> None:
    forward = dense_operations(MEAN, 4, 8) + attention_operations(MEAN, 4, 8)
    assert training_limit_seconds(MEAN, 4, 8, "bf16", LIMITS) == 3 * forward / 400e9
    assert training_limit_seconds(MEAN, 4, 8, "fp32", LIMITS) == 3 * forward / 100e9
