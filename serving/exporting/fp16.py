"""fp16 for CUDA: products and tables in half precision, what is sensitive in fp32.

Softmax, layer normalisation, the residual sums and the mask in front of them, and the last product of the head stay in
fp32 (`FP32_OPS`). Positions are integers or tables in the graphs this is meant for, so no bucket is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from shared.errors import ExportError

FP32_OPS = frozenset({
    "Softmax", "LogSoftmax", "LayerNormalization", "ReduceSum", "ReduceMean", "Pow", "Sqrt", "Exp", "Reciprocal",
    "CumSum", "Cast", "Constant", "ConstantOfShape", "Range",
})  # fmt: skip
"""Operators that run in fp32."""

PRODUCTS = frozenset({"MatMul", "Gemm", "Conv"})
NOT_FLOAT = frozenset({
    "Shape", "Size", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not", "NonZero",
    "ArgMax", "ArgMin", "IsNaN", "IsInf",
})  # fmt: skip
"""Operators whose result is no float, whatever they read."""

LARGEST = 65504.0


def convert_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """An fp16 version of an fp32 model, with the same inputs and fp32 outputs.

    Raises:
        ExportError: for a graph with branches or loops.
    """
    return _Converter(model).run()


@dataclass
class _Converter:
    model: onnx.ModelProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    """Name of every float tensor so far -> FLOAT or FLOAT16."""

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.stored = {entry.name: entry for entry in graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.kinds |= {
            value.name: TensorProto.FLOAT
            for value in graph.input
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        }

    def run(self) -> onnx.ModelProto:
        for node in self.model.graph.node:
            if any(entry.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for entry in node.attribute):
                raise ExportError(f"a graph with {node.op_type} cannot be converted to fp16.")
            self._convert(node)
        for value in self.model.graph.output:
            if self.kinds.get(value.name) == TensorProto.FLOAT16:
                self._cast_output_to_fp32(value.name)
        graph = self.model.graph
        result = helper.make_model(
            helper.make_graph(self.nodes, graph.name, graph.input, graph.output, list(self.constants.values())),
            opset_imports=self.model.opset_import,
            ir_version=self.model.ir_version,
            producer_name=self.model.producer_name,
        )
        helper.set_model_props(result, {entry.key: entry.value for entry in self.model.metadata_props})
        return result

    def _convert(self, node: onnx.NodeProto) -> None:
        floats = [name for name in node.input if name in self.kinds or self._is_float_constant(name)]
        kind = TensorProto.FLOAT if self._runs_in_fp32(node, floats) else TensorProto.FLOAT16
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name in floats:
                copy.input[place] = self._as(name, kind)
            elif name in self.stored:
                self.constants[name] = self.stored[name]
        self.nodes.append(copy)
        if node.op_type not in NOT_FLOAT and (floats or _makes_floats(node)) and _cast_target(node) in (None, 1):
            self.kinds |= dict.fromkeys(node.output, kind)

    def _runs_in_fp32(self, node: onnx.NodeProto, floats: list[str]) -> bool:
        if node.op_type in FP32_OPS:
            return True
        if node.op_type in PRODUCTS:
            return bool(set(node.output) & {value.name for value in self.model.graph.output})
        feeds = {reader.op_type for output in node.output for reader in self.readers.get(output, ())}
        if node.op_type in ("Add", "Where") and feeds & {"Softmax", "LayerNormalization"}:
            return True
        # what is made of fp32 alone stays fp32; constants adapt
        tensors = [name for name in floats if name in self.kinds]
        return bool(tensors) and all(self.kinds[name] == TensorProto.FLOAT for name in tensors)

    def _is_float_constant(self, name: str) -> bool:
        return name in self.stored and self.stored[name].data_type == TensorProto.FLOAT

    def _as(self, name: str, kind: int) -> str:
        """Name of a float tensor or constant in the wanted precision, converted once for all who read it."""
        if name in self.stored:
            if kind == TensorProto.FLOAT:
                self.constants[name] = self.stored[name]
                return name
            half = f"{name}:fp16"
            if half not in self.constants:
                array = _to_float16(numpy_helper.to_array(self.stored[name]))
                self.constants[half] = numpy_helper.from_array(array, half)
            return half
        if self.kinds[name] == kind:
            return name
        cast = f"{name}:{'fp32' if kind == TensorProto.FLOAT else 'fp16'}"
        if cast not in self.kinds:
            self.kinds[cast] = kind
            self.nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=kind))
        return cast

    def _cast_output_to_fp32(self, name: str) -> None:
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, found in enumerate(names):
                    if found == name:
                        names[place] = f"{name}:fp16"
        self.nodes.append(helper.make_node("Cast", [f"{name}:fp16"], [name], name=name, to=TensorProto.FLOAT))


def _to_float16(array: NDArray[Any]) -> NDArray[np.float16]:
    """Float16, with what would overflow at the largest finite value."""
    halved: NDArray[np.float16] = np.clip(array, -LARGEST, LARGEST).astype(np.float16)
    return halved


def _makes_floats(node: onnx.NodeProto) -> bool:
    """Whether a node without float inputs has a float output."""
    if node.op_type in ("Constant", "ConstantOfShape"):
        values = [entry.t.data_type for entry in node.attribute if entry.name == "value"]
        return bool((values or [TensorProto.FLOAT])[0] == TensorProto.FLOAT)
    return _cast_target(node) == TensorProto.FLOAT


def _cast_target(node: onnx.NodeProto) -> int | None:
    return next((entry.i for entry in node.attribute if entry.name == "to"), None) if node.op_type == "Cast" else None
