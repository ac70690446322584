"""Outlier units of a feed-forward layer: the few whose values dwarf all others are computed beside them, in fp32.

Some hidden units of the first layers answer a few tokens with values many times those of the others (24 where the next
reaches 6, on the demo). In int8 they take the levels away from all other units of such a token, and magnify the
rounding of their own weights (Dettmers et al. 2022, LLM.int8(), https://arxiv.org/abs/2208.07339). The units of a
feed-forward are independent, so they can be computed apart, in two thin products:
act(x @ U + b) @ D = act(x @ U1 + b1) @ D1 + act(x @ U2 + b2) @ D2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

UNITS = 8
"""Units set apart in a layer that has outliers: a multiple of what the kernels take at once."""

FACTOR = 2.0
"""How many times the largest value of the other units an outlier's is."""

Array = NDArray[Any]


@dataclass(frozen=True)
class FeedForward:
    """The three nodes of a feed-forward layer: a product, its activation, a product."""

    up: NodeProto
    activation: NodeProto
    down: NodeProto


def find_outliers(largest: Array) -> NDArray[np.int64]:
    """Numbers of the units to set apart, none where no unit is `FACTOR` times as large as the bulk.

    Args:
        largest: largest magnitude of each of the units, (D,).
    """
    order = np.argsort(-largest, kind="stable")
    if len(order) <= 2 * UNITS or largest[order[0]] < FACTOR * largest[order[UNITS]]:
        return np.zeros(0, np.int64)
    return np.sort(order[:UNITS])


def separate_outliers(model: onnx.ModelProto, folder: Path, tokens: Mapping[str, Array]) -> dict[str, Array]:
    """Set the outlier units of every feed-forward layer apart, in place; the function stays the same.

    Args:
        model: in fp32; its weights may be in a file in `folder`.
        folder: of that file.
        tokens: tensor -> what it held on calibration texts, (N, D).

    Returns:
        `tokens` of the changed graph: without the units that are set apart.
    """
    stored = {entry.name: entry for entry in model.graph.initializer}
    left = dict(tokens)
    replaced: dict[str, list[NodeProto]] = {}
    for layer in _feed_forwards(model, stored):
        name = layer.activation.output[0]
        if name not in left:
            continue
        apart = find_outliers(np.abs(left[name]).max(axis=0))
        if len(apart):
            others = np.delete(np.arange(left[name].shape[1]), apart)
            left[name] = left[name][:, others]
            replaced |= _separate(model, folder, layer, apart, others)
    nodes = [made for node in model.graph.node for made in replaced.get(node.name, [node])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [entry for entry in model.graph.initializer if entry.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return left


def _feed_forwards(model: onnx.ModelProto, stored: Mapping[str, onnx.TensorProto]) -> list[FeedForward]:
    """The layers whose activation reads one plain product and is read by one."""
    makers = {node.output[0]: node for node in model.graph.node}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def plain(node: NodeProto | None) -> bool:
        if node is None or node.op_type != "Gemm" or node.attribute:
            return False
        return len(node.input) == 3 and all(name in stored for name in node.input[1:])

    found = []
    for node in model.graph.node:
        if node.op_type == "Gelu":
            up, after = makers.get(node.input[0]), readers.get(node.output[0], [])
            if plain(up) and len(readers[node.input[0]]) == 1 and len(after) == 1 and plain(after[0]):
                assert up is not None
                found.append(FeedForward(up, node, after[0]))
    return found


def _separate(
    model: onnx.ModelProto,
    folder: Path,
    layer: FeedForward,
    apart: Array,
    others: Array,
) -> dict[str, list[NodeProto]]:
    """Name of each node of a layer -> the nodes in its place."""
    stored = {entry.name: entry for entry in model.graph.initializer}

    def constant(name: str, columns: Array | None = None, rows: Array | None = None, *, suffix: str) -> str:
        array = numpy_helper.to_array(stored[name], base_dir=str(folder))
        array = array if columns is None else array[..., columns]
        array = np.ascontiguousarray(array if rows is None else array[rows])
        model.graph.initializer.append(numpy_helper.from_array(array, name + suffix))
        return name + suffix

    def copy(node: NodeProto, inputs: list[str], suffix: str = "", output: str | None = None) -> NodeProto:
        made = NodeProto()
        made.CopyFrom(node)
        made.name += suffix
        del made.input[:]
        made.input.extend(inputs)
        made.output[0] = output or node.output[0] + suffix
        return made

    (x, weight, bias), (_, lower, lower_bias) = layer.up.input, layer.down.input
    raised, hidden, lowered = layer.up.output[0], layer.activation.output[0], layer.down.output[0]
    ours, theirs = ":outliers", ":others"
    up = [constant(weight, apart, suffix=ours), constant(bias, apart, suffix=ours)]
    up_others = [constant(weight, others, suffix=theirs), constant(bias, others, suffix=theirs)]
    down_others = constant(lower, rows=others, suffix=theirs)
    down = constant(lower, rows=apart, suffix=ours)
    return {
        layer.up.name: [copy(layer.up, [x, *up], ours), copy(layer.up, [x, *up_others])],
        layer.activation.name: [copy(layer.activation, [raised + ours], ours), layer.activation],
        layer.down.name: [
            copy(layer.down, [hidden, down_others, lower_bias], output=lowered + theirs),
            helper.make_node("Gemm", [hidden + ours, down, lowered + theirs], [lowered], name=layer.down.name + ours),
        ],
    }
