"""The line-up of the report, in the order of its tables."""

from __future__ import annotations

from benchmarks.contenders import hugging_face, openvino, ours_onnx, stock_onnx
from benchmarks.contenders.contender import Contender
from shared.errors import ConfigError

SLOW = (hugging_face.COMPILED, "OpenVINO, stock int8", "OpenVINO, ours int8")
"""Left out of a quick run: compilers take minutes, and these two answer no floor."""


def lineup() -> list[Contender]:
    """Every contender there is; whether it can run here it says itself."""
    return [
        hugging_face.eager(),
        hugging_face.compiled(),
        hugging_face.fast(),
        stock_onnx.fp32(),
        ours_onnx.fp32(),
        stock_onnx.int8(),
        ours_onnx.int8(),
        ours_onnx.fp16(),
        openvino.on_graph("OpenVINO, stock fp32", "fp32", stock_onnx.export_stock),
        openvino.on_graph("OpenVINO, ours fp32", "fp32", ours_onnx.export_fp32),
        openvino.on_graph("OpenVINO, stock int8", "int8", stock_onnx.quantise_stock),
        openvino.on_graph("OpenVINO, ours int8", "int8", ours_onnx.quantise_ours),
    ]


def by_name(name: str) -> Contender:
    """The contender of that name.

    Raises:
        ConfigError: when there is none.
    """
    found = {contender.name: contender for contender in lineup()}
    if name not in found:
        raise ConfigError(f"there is no contender {name!r}.", hint=f"Allowed: {', '.join(found)}.")
    return found[name]
