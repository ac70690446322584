"""The machine a figure was measured on, what it can do at most, and what a batch cannot do without (a roofline)."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.contenders.models import ModelShape
from benchmarks.measure import Clock
from shared.cli import default_threads
from shared.environment import package_versions, source_revision

PACKAGES = (
    "torch", "transformers", "tokenizers", "onnxruntime-gpu", "onnxruntime", "optimum", "optimum-onnx", "onnx",
    "openvino", "numpy", "bentoml", "starlette", "fastapi", "uvicorn",
)  # fmt: skip
PRODUCT_SIZES = ((1024, 1024, 1024), (1024, 768, 3072), (2048, 2048, 2048))
"""Rows, inner and columns of the products tried; the best rate counts."""

READ_BYTES = 1 << 29
"""Larger than any cache."""

_TELLING_FLAGS = re.compile(r"avx2|fma|f16c|avx512\w*|avx_vnni|amx_\w+|neon|asimd\w*|sve\w*|i8mm|bf16|dotprod")
_BYTES = {"fp32": 4, "int8": 1, "fp16": 2, "bf16": 2}
_BACKWARD = 3
"""A step forward and back costs three times the forward products: each has two gradients."""


def describe_machine(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """CPU, memory, load, operating system, GPU, package versions, source revision and time, for JSON."""
    from cpuinfo import get_cpu_info

    cpu = get_cpu_info()
    return {
        "cpu": cpu.get("brand_raw") or platform.processor() or platform.machine(),
        "flags": sorted(flag for flag in cpu.get("flags", []) if _TELLING_FLAGS.fullmatch(flag)),
        "cores": os.cpu_count(),
        "usable_cores": default_threads(),
        "caches": _caches(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "gpu": _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": package_versions(packages),
        "revision": source_revision(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _caches() -> dict[str, str]:
    """Size of each data cache of the first core, by level, where Linux reports it."""
    found: dict[str, str] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with contextlib.suppress(OSError):
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
            found |= {f"L{level}": size} if kind != "Instruction" else {}
    return found


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


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
        theirs = other.as_dict()
        return Limits(**{name: max(mine, theirs[name]) for name, mine in self.as_dict().items()})

    def rate(self, precision: str) -> float:
        """Operations a second of the fastest product in this precision."""
        rates = {"int8": self.int8_onnxruntime, "bf16": self.bf16_torch}
        return rates.get(precision, max(self.fp32_onnxruntime, self.fp32_torch))


def measure_limits(threads: int, *, seconds: float = 0.3, scale: int = 1, clock: Clock = time.perf_counter) -> Limits:
    """Measure all rates on `threads` threads, `seconds` each; `scale` divides all sizes, for tests."""
    import torch

    torch.set_num_threads(threads)
    sizes = [tuple(side // scale for side in size) for size in PRODUCT_SIZES]
    array = torch.ones(READ_BYTES // scale**2 // 4, dtype=torch.float32)

    def rate(product: Callable[[tuple[int, ...]], Callable[[], object]]) -> float:
        return max(2.0 * math.prod(size) / _best_time(product(size), seconds, clock) for size in sizes)

    return Limits(
        fp32_onnxruntime=rate(lambda size: _onnx_product(size, threads, quantised=False)),
        int8_onnxruntime=rate(lambda size: _onnx_product(size, threads, quantised=True)),
        fp32_torch=rate(lambda size: _torch_product(size, torch.float32)),
        bf16_torch=rate(lambda size: _torch_product(size, torch.bfloat16)),
        read_bytes=array.nbytes / _best_time(array.sum, seconds, clock),
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

    rows, inner, columns = size
    random = np.random.default_rng(0)
    if quantised:
        left = random.integers(0, 255, (rows, inner)).astype(np.uint8)
        right = random.integers(-127, 127, (inner, columns)).astype(np.int8)
        operator, kind, product = "MatMulInteger", "uint8", "int32"
    else:
        left = random.standard_normal((rows, inner)).astype(np.float32)
        right = random.standard_normal((inner, columns)).astype(np.float32)
        operator, kind, product = "MatMul", "float", "float"
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 18]> product ({kind}[{rows}, {inner}] left) => '
        f"({product}[{rows}, {columns}] product) {{ product = {operator}(left, right) }}"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(right, "right"))
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


def dense_operations(shape: ModelShape, batch: int, length: int) -> float:
    """Operations of the products with weights.

    With CLS pooling the last layer's queries and feed-forward are needed for one token a row: the others end there.
    """
    width, inner = shape.width, shape.inner
    per_token = 2 * (2 * width * width)  # keys and values
    per_result = 2 * (2 * width * width + 2 * width * inner)  # queries, attention output, feed-forward
    tokens = batch * length
    last = batch if shape.pooling == "cls" else tokens
    return float(shape.layers * tokens * per_token + ((shape.layers - 1) * tokens + last) * per_result)


def attention_operations(shape: ModelShape, batch: int, length: int) -> float:
    """Operations of q.k, q.P_k, k.P_q and weights x values, each once for every pair of tokens.

    None of them has a constant side that could be quantised ahead, so they count in floating point.
    """
    queries = (shape.layers - 1) * length + (1 if shape.pooling == "cls" else length)
    return float(4 * 2 * shape.width * batch * queries * length)


def limit_seconds(shape: ModelShape, batch: int, length: int, precision: str, limits: Limits) -> float:
    """Seconds at the machine's limit: all products at their best rate, or reading the weights once if that is longer.

    The limit is that of a roofline: Williams et al. 2009, https://doi.org/10.1145/1498765.1498785
    """
    floating = "fp32" if precision == "int8" else precision
    compute = dense_operations(shape, batch, length) / limits.rate(precision)
    compute += attention_operations(shape, batch, length) / limits.rate(floating)
    weights = shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.inner)
    return max(compute, weights * _BYTES.get(precision, 4) / limits.read_bytes)


def training_limit_seconds(shape: ModelShape, batch: int, length: int, precision: str, limits: Limits) -> float:
    """Seconds of the products of one training step at the machine's best rate in torch."""
    rate = limits.bf16_torch if precision == "bf16" else limits.fp32_torch
    operations = dense_operations(shape, batch, length) + attention_operations(shape, batch, length)
    return _BACKWARD * operations / rate
