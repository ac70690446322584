"""Dynamic int8: the products with constant weights, the embeddings and the position tables of an fp32 graph in 8 bits.

Activations are quantised per token when the graph runs (uint8, once for all products that read the same tensor),
weights per output channel beforehand (int8, symmetric). Products of two activations stay in fp32: quantising them costs
accuracy and saves little. Embeddings keep a scale a row, position tables a scale a channel.

A scale a token, not one a tensor as `DynamicQuantizeLinear` has it, makes a text's answer independent of the texts that
share its batch: with one a tensor the logits of a text moved by up to 0.86 with its neighbours (GoEmotions dev). It
costs a fifth of a product's time. Two things make it finer: activation outliers of a normalised tensor are moved into
the weights (see `activations.py`), and the output of GELU, never below -0.17, gets its levels on the positive side. On
the fine-tuned starter (GoEmotions dev) the root mean square of the logits' error is 0.114 with a scale a tensor, 0.059
with one a token, 0.037 with both of these.

`MatMulIntegerToFloat` reaches 740 Gop/s on one AVX-512 VNNI thread where `MatMulNBits` with 8 bits and integer
accumulation reaches 320 and fp32 240; with int8 in place of uint8 activations it falls to 50.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from serving.exporting.activations import (
    ABOVE,
    GELU_ABOVE,
    GELU_LEAST_RANGE,
    GELU_ZERO,
    MIDDLE,
    Activations,
    quantise_symmetric,
)

CONTRIBUTED = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""

MIN_COLUMNS = 64
"""Narrower products, such as the last one of the head, cost nothing and would put their error right into the logits."""

MIN_ROWS = 16
"""Products of fewer channels, such as those of the outliers that were set apart, cost nothing either."""

MIN_TABLE = 4096
"""Smaller tables are not worth a scale."""

Array = NDArray[Any]

POSITIONS = "position_tables"
"""The part that all tables of positions are."""

_SHARED: dict[str, Array] = {
    "int8/last_axis": np.array([-1], np.int64),
    "int8/one": np.array(1, np.float32),
    "int8/tiny": np.array(1e-9, np.float32),
    "int8/above": np.array(ABOVE, np.float32),
    "int8/middle": np.array(MIDDLE, np.uint8),
    "int8/gelu_least_range": np.array(GELU_LEAST_RANGE, np.float32),
    "int8/gelu_above": np.array(GELU_ABOVE, np.float32),
    "int8/gelu_zero": np.array(GELU_ZERO, np.uint8),
}
"""Constants of the quantisation by token."""


def unit_of(node: onnx.NodeProto) -> str:
    """The part of the graph that is quantised or left out together with a node.

    A product is a part by itself, embeddings by the scope they are in are another, and all position tables are one.
    """
    if node.op_type == "Slice":
        return POSITIONS
    return str(node.name.rsplit("/", 1)[0] if node.op_type == "Gather" else node.name)


@dataclass
class Quantiser:
    """Makes one int8 version of an fp32 graph; use a new one for each.

    Args:
        model: the fp32 model; its weights may be in an external file.
        folder: of that file.
        activations: what the products read on calibration texts; nothing is known of tensors that are not in it.
    """

    model: onnx.ModelProto
    folder: Path
    activations: Activations = field(default_factory=Activations)
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _constants: dict[str, Array] = field(default_factory=dict)
    _quantised: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._stored = {entry.name: entry for entry in self.model.graph.initializer}
        self._makers = {name: node.op_type for node in self.model.graph.node for name in node.output}

    def units(self) -> dict[str, int]:
        """The parts that can be left out, in the order of the graph, with their numbers of weights."""
        found: dict[str, int] = {}
        for node in self.model.graph.node:
            kind = self._kind(node)
            if kind:
                table = node.input[1 if kind == "product" else 0]
                found[unit_of(node)] = found.get(unit_of(node), 0) + math.prod(self._float_shape(table))
        return found

    def run(self, left_out: Collection[str] = ()) -> onnx.ModelProto:
        """The int8 model, with the units `left_out` in fp32; what stays in fp32 stays where it is stored."""
        handlers = {"product": self._product, "gather": self._gather, "slice": self._slice}
        for node in self.model.graph.node:
            kind = None if unit_of(node) in left_out else self._kind(node)
            self._nodes.extend(handlers[kind](node) if kind else (node,))
        used = {name for node in self._nodes for name in node.input}
        kept = [entry for entry in self.model.graph.initializer if entry.name in used]
        added = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = self.model.graph
        result = helper.make_model(
            helper.make_graph(self._nodes, graph.name, graph.input, graph.output, [*kept, *added]),
            opset_imports=[*self.model.opset_import, helper.make_opsetid(CONTRIBUTED, 1)],
            ir_version=self.model.ir_version,
            producer_name=self.model.producer_name,
        )
        helper.set_model_props(result, {entry.key: entry.value for entry in self.model.metadata_props})
        return result

    def _kind(self, node: onnx.NodeProto) -> str | None:
        """How a node is quantised; None when it stays."""
        attributes = {entry.name: entry.i for entry in node.attribute}
        if node.op_type in ("Gemm", "MatMul"):
            shape = self._float_shape(node.input[1])
            plain = not (attributes.get("transA") or attributes.get("transB"))
            worth = len(shape) >= 2 and shape[-1] >= MIN_COLUMNS and shape[-2] >= MIN_ROWS
            return "product" if plain and worth else None
        if node.op_type == "Gather" and attributes.get("axis", 0) == 0:
            shape = self._float_shape(node.input[0])
            return "gather" if len(shape) == 2 and np.prod(shape) >= MIN_TABLE else None
        if node.op_type == "Slice" and len(node.input) == 4 and node.input[3] in self._stored:
            shape = self._float_shape(node.input[0])
            return "slice" if len(shape) >= 2 and np.prod(shape) >= MIN_TABLE else None
        return None

    def _float_shape(self, name: str) -> tuple[int, ...]:
        """Shape of a float constant, () for anything else."""
        entry = self._stored.get(name)
        return tuple(entry.dims) if entry is not None and entry.data_type == TensorProto.FLOAT else ()

    def _array(self, name: str) -> Array:
        return numpy_helper.to_array(self._stored[name], base_dir=str(self.folder))

    def _constant(self, name: str, array: Array) -> str:
        self._constants[name] = array
        return name

    def sources(self) -> list[str]:
        """The tensors that quantised products of one matrix read: what `activations` are of use for."""
        products = [node for node in self.model.graph.node if self._kind(node) == "product"]
        return list(dict.fromkeys(node.input[0] for node in products if len(self._float_shape(node.input[1])) == 2))

    def _smoothing_factors(self, name: str) -> Array | None:
        """What each channel of a normalised tensor is divided by, and its weights are multiplied with."""
        if self._makers.get(name) != "LayerNormalization":
            return None
        readers = [node for node in self.model.graph.node if self._kind(node) == "product" and node.input[0] == name]
        return self.activations.smoothing_factors(name, lambda: [self._array(node.input[1]) for node in readers])

    def _activation(self, name: str) -> Iterator[onnx.NodeProto]:
        """The nodes that quantise a tensor, shape (..., width), by token, once for all who read it."""
        if name in self._quantised:
            return
        self._quantised.add(name)
        for constant, array in _SHARED.items():
            self._constant(constant, array)

        def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
            return helper.make_node(kind, inputs, [f"{name}:{output}"], name=f"{name}:{output}", **attributes)

        source, factors = name, self._smoothing_factors(name)
        if factors is not None:
            source = f"{name}:smoothed"
            yield node("Mul", [name, self._constant(f"{name}:smoothing", 1 / factors)], "smoothed")
        positive = self._makers.get(name) == "Gelu"
        if positive:
            least, above, zero = "int8/gelu_least_range", "int8/gelu_above", "int8/gelu_zero"
        else:
            least, above, zero = "int8/tiny", "int8/above", "int8/middle"
            yield node("Abs", [source], "size")
        size = source if positive else f"{name}:size"
        yield node("ReduceMax", [size, "int8/last_axis"], "largest", keepdims=1)
        yield node("Max", [f"{name}:largest", least], "range")
        yield node("Div", [above, f"{name}:range"], "steps")
        yield node("Mul", [source, f"{name}:steps"], "scaled")
        yield node("QuantizeLinear", [f"{name}:scaled", "int8/one", zero], "int8")

    def _product(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        source, weight, *bias = node.input
        matrix, factors = self._array(weight), self._smoothing_factors(source)
        if factors is not None:
            matrix = matrix * factors[:, None]
        values, scale = quantise_symmetric(matrix, axes=(-2,))
        gelu = self._makers.get(source) == "Gelu"
        if matrix.ndim == 2:
            error = self.activations.mean_error(source, matrix, values * scale, factors=factors, gelu=gelu)
            scale = scale[0]
            if error is not None and bias and bias[0] in self._stored:
                bias = [self._constant(f"{node.name}:int8_bias", self._array(bias[0]) - error)]
        yield from self._activation(source)
        scaled, result = f"{node.name}:scaled", f"{node.name}:unbiased" if bias else node.output[0]
        inputs = [
            f"{source}:int8", self._constant(f"{weight}:int8", values),
            "int8/one", self._constant(f"{weight}:int8_scale", scale),
            "int8/gelu_zero" if gelu else "int8/middle",
            self._constant(f"{weight}:int8_zero", np.zeros(scale.shape, np.int8)),
        ]  # fmt: skip
        yield helper.make_node("MatMulIntegerToFloat", inputs, [scaled], name=node.name, domain=CONTRIBUTED)
        yield helper.make_node("Div", [scaled, f"{source}:steps"], [result], name=f"{node.name}:unscaled")
        if bias:
            yield helper.make_node("Add", [result, *bias], list(node.output), name=f"{node.name}:bias")

    def _gather(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        table, ids = node.input
        values, scale = quantise_symmetric(self._array(table), axes=(1,))
        for part, array in (("int8", values), ("int8_scale", scale)):
            name = f"{node.name}:{part}"
            yield helper.make_node("Gather", [self._constant(f"{table}:{part}", array), ids], [name], name=name)
        name = f"{node.name}:float"
        yield helper.make_node("Cast", [f"{node.name}:int8"], [name], name=name, to=TensorProto.FLOAT)
        yield helper.make_node("Mul", [name, f"{node.name}:int8_scale"], list(node.output), name=node.name)

    def _slice(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        table = node.input[0]
        shape = self._float_shape(table)
        sliced = int(self._array(node.input[3])[0])
        axis = max((i for i in range(len(shape)) if i != sliced), key=lambda i: shape[i])
        others = tuple(i for i in range(len(shape)) if i != axis)
        values, scale = quantise_symmetric(self._array(table), axes=others)
        name = f"{node.name}:int8"
        inputs = [self._constant(f"{table}:int8", values), *node.input[1:]]
        yield helper.make_node("Slice", inputs, [name], name=name)
        scales = self._constant(f"{table}:int8_scale", scale.ravel())
        yield helper.make_node("DequantizeLinear", [name, scales], list(node.output), name=node.name, axis=axis)
