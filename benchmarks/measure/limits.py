"""What this machine can do at most: large products and memory reads, measured in the same run as the contenders."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.measure.rounds import Clock

SIZES = ((1024, 1024, 1024), (1024, 768, 3072), (2048, 2048, 2048))
"""Rows, inner and columns of the products tried; the best rate counts."""

READ_BYTES = 1 << 29
"""Larger than any cache."""


@dataclass(frozen=True)
class Limits:
    """Best rates seen, in operations (a multiply and an add are two) and bytes a second."""

    fp32_onnxruntime: float
    int8_onnxruntime: float
    fp32_torch: float
    bf16_torch: float
    read_bytes: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)

    def best(self, other: Limits) -> Limits:
        """The larger of each rate: a limit taken while something else ran is none."""
        mine, theirs = self.as_dict(), other.as_dict()
        return Limits(**{name: max(mine[name], theirs[name]) for name in mine})

    def rate(self, precision: str) -> float:
        """Operations a second of the fastest product in this precision."""
        rates = {
            "fp32": max(self.fp32_onnxruntime, self.fp32_torch),
            "int8": self.int8_onnxruntime,
            "bf16": self.bf16_torch,
        }
        return rates.get(precision, rates["fp32"])


def measure_limits(threads: int, *, seconds: float = 0.3, scale: int = 1, clock: Clock = time.perf_counter) -> Limits:
    """Measure all rates on `threads` threads.

    Args:
        threads: of every product.
        seconds: spent on each product size.
        scale: divides all sizes, for tests.
        clock: the one contenders are measured with.
    """
    import torch

    torch.set_num_threads(threads)
    sizes = [tuple(side // scale for side in size) for size in SIZES]

    def best(call: Callable[[], object]) -> float:
        return _best_time(call, seconds, clock)

    def rate(product: Callable[[tuple[int, ...]], Callable[[], object]]) -> float:
        return max(2.0 * math.prod(size) / best(product(size)) for size in sizes)

    return Limits(
        fp32_onnxruntime=rate(lambda size: _onnx_product(size, threads, quantised=False)),
        int8_onnxruntime=rate(lambda size: _onnx_product(size, threads, quantised=True)),
        fp32_torch=rate(lambda size: _torch_product(size, torch.float32)),
        bf16_torch=rate(lambda size: _torch_product(size, torch.bfloat16)),
        read_bytes=READ_BYTES // scale**2 / best(_read(READ_BYTES // scale**2)),
    )


def _best_time(call: Callable[[], object], seconds: float, clock: Clock) -> float:
    call()
    best, stop = float("inf"), clock() + seconds
    while True:
        start = clock()
        call()
        now = clock()
        best = min(best, now - start)
        if now > stop:
            return best


def _onnx_product(size: tuple[int, ...], threads: int, *, quantised: bool) -> Callable[[], object]:
    """One MatMul, or a MatMulInteger of unsigned rows and signed constant columns as dynamic quantisation makes it."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    rows, inner, columns = size
    random = np.random.default_rng(0)
    if quantised:
        left = random.integers(0, 255, (rows, inner)).astype(np.uint8)
        right = random.integers(-127, 127, (inner, columns)).astype(np.int8)
        operator, kinds = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32)
    else:
        left = random.standard_normal((rows, inner)).astype(np.float32)
        right = random.standard_normal((inner, columns)).astype(np.float32)
        operator, kinds = "MatMul", (TensorProto.FLOAT, TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", kinds[0], [rows, inner])],
        [helper.make_tensor_value_info("product", kinds[1], [rows, columns])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


def _torch_product(size: tuple[int, ...], dtype: Any) -> Callable[[], object]:
    import torch

    rows, inner, columns = size
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    out = torch.empty(rows, columns, dtype=dtype)

    def product() -> object:
        with torch.inference_mode():
            return torch.mm(left, right, out=out)

    return product


def _read(size: int) -> Callable[[], object]:
    """The sum of an array of so many bytes, which no cache holds."""
    import torch

    return torch.ones(size // 4, dtype=torch.float32).sum
