"""The attention of a written graph as one operator of ONNX Runtime, for CUDA, where each operator waits for a launch.

`com.microsoft.MultiHeadAttention` (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md) takes
the relative terms and the mask as its additive bias: scores, softmax and the mixing of values are one call, and no copy
in fp32 lies between them. Layers that are computed for the first token alone stay as they are.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import NodeProto, helper

DOMAIN = "com.microsoft"
REPLACED = ("key_by_head_transposed", "content_scores", "scores_with_c2p", "scores_with_p2c", "masked_scores",
            "weights", "value_by_head", "context_by_head", "context_by_token")  # fmt: skip
"""Nodes of a layer's attention that the operator replaces, as `serving.exporting.graph_attention` names them."""


def fuse_attention(model: onnx.ModelProto) -> int:
    """Replace the attention of every layer, in place; the number of layers, 0 for a graph of another writer.

    Args:
        model: written by `serving.exporting.graph`, in fp32; the function stays the same.
    """
    graph = model.graph
    nodes = {node.name: node for node in graph.node}
    scopes = [name.removesuffix("masked_scores") for name in nodes if name.endswith("/attention/masked_scores")]
    scopes = [scope for scope in scopes if f"{scope}content_scores" in nodes and f"{scope}context_by_token" in nodes]
    scopes = [scope for scope in scopes if _terms(nodes, scope)]
    fused = {f"{scope}context_by_token": _operator(nodes, scope) for scope in scopes}
    gone = {f"{scope}{name}" for scope in scopes for name in REPLACED}
    kept: list[NodeProto] = []
    for node in graph.node:
        kept += fused.get(node.name, [] if node.name in gone else [node])
    del graph.node[:]
    graph.node.extend(kept)
    if scopes:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return len(scopes)


def _terms(nodes: dict[str, NodeProto], scope: str) -> list[str]:
    """Names of the relative scores of a layer, each (N, H, T, T)."""
    return [f"{scope}{term}" for term in ("c2p", "p2c") if f"{scope}{term}" in nodes]


def _operator(nodes: dict[str, NodeProto], scope: str) -> list[NodeProto]:
    """The nodes that give what `context_by_token` gave, here (T, N, D)."""
    made: list[NodeProto] = []

    def node(kind: str, *inputs: str, name: str, domain: str = "", **attributes: Any) -> str:
        full = f"{scope}{name}"
        made.append(helper.make_node(kind, list(inputs), [full], name=full, domain=domain, **attributes))
        return full

    # the query carries the scale of the softmax
    sequences = [
        node("Transpose", node("Reshape", f"{scope}{part}", "shapes/sequence", name=f"{part}_states"),
             perm=(1, 0, 2), name=f"{part}_by_example")
        for part in ("query", "key", "value")
    ]  # fmt: skip
    bias, *more = _terms(nodes, scope)
    for term in more:
        bias = node("Add", bias, term, name="relative_scores")
    mask = nodes[f"{scope}masked_scores"].input[1]
    bias = node("Add", bias, mask, name="attention_bias")
    heads = int(nodes["shapes/split"].input[1].removeprefix("ints/").split(",")[0])
    inputs = (*sequences, "", "", bias)
    mixed = node("MultiHeadAttention", *inputs, name="fused", domain=DOMAIN, num_heads=heads, scale=1.0)
    node("Transpose", mixed, perm=(1, 0, 2), name="context_by_token")
    return made
