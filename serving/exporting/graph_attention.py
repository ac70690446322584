"""Disentangled attention as ONNX operators, exact and with few of them.

States are time-major, (T * N, D) in memory as (T, N, D): the heads of all tokens then are a mere reshape to
(T, N, H, d), and ONNX Runtime folds the transposes in front of a product into the product itself (`FusedMatMul`
with transBatchA/B), so queries, keys and values are never copied.

score(i, j) = q_i.k_j + q_i.P_k[j - i] + k_j.P_q[i - j], all scaled (He et al. 2021, https://arxiv.org/abs/2006.03654).
The second and third term are products with a table of all distances that a batch of T tokens can have, brought into
place by `_skew` (Dai et al. 2019, https://arxiv.org/abs/1901.02860, appendix B) instead of a gather.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serving.exporting.graph_weights import Array, EncoderLayer, Linear, Norm
from serving.exporting.onnx_models import GraphBuilder

TO_THE_END = int(np.iinfo(np.int64).max)
TIME_TO_HEADS = (1, 2, 0, 3)
TIME_TO_HEADS_TRANSPOSED = (1, 2, 3, 0)
HEADS_TO_TIME = (2, 0, 1, 3)


@dataclass(frozen=True)
class Shapes:
    """Names of the tensors that depend on the size of a batch, made once, and the sizes that do not.

    Attributes:
        heads: H.
        head_width: d.
        width: D.
        max_length: most tokens the position tables cover.
        tokens: T, shape (1,).
        examples: N, shape (1,).
        split: [T, N, H, d].
        sequence: [T, N, D].
        skewed: [0, 0, T, -1].
        first: max_length - T, the first column of a table that a batch needs.
        last: max_length + T, the column after the last.
        mask: added to the scores, (N, 1, 1, T), 0 for a token and `MASKED` for padding.
    """

    heads: int
    head_width: int
    width: int
    max_length: int
    tokens: str
    examples: str
    split: str
    sequence: str
    skewed: str
    first: str
    last: str
    mask: str


def linear(graph: GraphBuilder, x: str, layer: Linear, name: str) -> str:
    """Rows times weight, plus bias."""
    weight, bias = graph.constant(f"{name}.weight", layer.weight), graph.constant(f"{name}.bias", layer.bias)
    return graph.node("Gemm", x, weight, bias, name=name)


def normalise(graph: GraphBuilder, x: str, norm: Norm, name: str = "norm") -> str:
    """Layer normalisation of rows.

    Not ONNX Runtime's SkipLayerNormalization, which on a CPU takes five times as long as the sum and this.
    """
    scale, shift = graph.constant(f"{name}.scale", norm.scale), graph.constant(f"{name}.shift", norm.shift)
    return graph.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=norm.epsilon, name=name)


def self_attention(graph: GraphBuilder, x: str, layer: EncoderLayer, shapes: Shapes) -> str:
    """Attention of all tokens on all tokens, its dense layer, the residual and its norm: rows (T * N, D) to the same.

    Three products make query, key and value: one fused product would need a copy to split its result, which measures
    slower than reading the rows thrice.
    """
    query = _heads(graph, linear(graph, x, layer.query, "query"), shapes, "query")
    key = _heads(graph, linear(graph, x, layer.key, "key"), shapes, "key")
    weight = graph.constant("value.weight", layer.value)
    value = _heads(graph, graph.node("MatMul", x, weight, name="value"), shapes, "value")

    queries = graph.node("Transpose", query, perm=TIME_TO_HEADS, name="query_by_head")
    keys = graph.node("Transpose", key, perm=TIME_TO_HEADS_TRANSPOSED, name="key_by_head_transposed")
    scores = graph.node("MatMul", queries, keys, name="content_scores")
    if layer.c2p is not None:
        c2p = _distance_scores(graph, queries, layer.c2p, shapes, "c2p")
        scores = graph.node("Add", scores, c2p, name="scores_with_c2p")
    if layer.p2c is not None:
        keys = graph.node("Transpose", key, perm=TIME_TO_HEADS, name="key_by_head")
        by_key = _distance_scores(graph, keys, layer.p2c, shapes, "p2c_by_key")
        p2c = graph.node("Transpose", by_key, perm=(0, 1, 3, 2), name="p2c")
        scores = graph.node("Add", scores, p2c, name="scores_with_p2c")
    masked = graph.node("Add", scores, shapes.mask, name="masked_scores")
    weights = graph.node("Softmax", masked, axis=-1, name="weights")
    values = graph.node("Transpose", value, perm=TIME_TO_HEADS, name="value_by_head")
    mixed = graph.node("MatMul", weights, values, name="context_by_head")
    context = graph.node("Transpose", mixed, perm=HEADS_TO_TIME, name="context_by_token")
    rows = graph.node("Reshape", context, graph.ints(-1, shapes.width), name="context")
    return _output(graph, rows, x, layer)


def first_token_attention(graph: GraphBuilder, x: str, layer: EncoderLayer, shapes: Shapes) -> str:
    """As `self_attention`, for the first token of every example alone: rows (T * N, D) to (N, D).

    Its distances are 0 .. T - 1, so nothing needs skewing, and the values are projected after they were mixed: N rows
    in place of T * N.
    """
    states = graph.node("Reshape", x, shapes.sequence, name="states")
    first = graph.node("Slice", x, graph.ints(0), shapes.examples, graph.ints(0), name="first_token")
    query = linear(graph, first, layer.query, "query")
    key = linear(graph, x, layer.key, "key")
    scores = _first_token_scores(graph, query, key, layer, shapes)
    mask = graph.node("Squeeze", shapes.mask, graph.ints(2), name="mask")
    masked = graph.node("Add", scores, mask, name="masked_scores")
    weights = graph.node("Softmax", masked, axis=-1, name="weights")  # (N, H, T)
    by_example = graph.node("Transpose", states, perm=(1, 0, 2), name="states_by_example")
    mixed = graph.node("MatMul", weights, by_example, name="mixed_states")  # (N, H, D)
    by_head = graph.node("Transpose", mixed, perm=(1, 0, 2), name="mixed_states_by_head")
    projection = layer.value.reshape(shapes.width, shapes.heads, shapes.head_width).transpose(1, 0, 2)
    weight = graph.constant("value.weight", np.ascontiguousarray(projection))
    values = graph.node("MatMul", by_head, weight, name="context_by_head")  # (H, N, d)
    context = graph.node("Transpose", values, perm=(1, 0, 2), name="context_by_example")
    rows = graph.node("Reshape", context, graph.ints(-1, shapes.width), name="context")
    return _output(graph, rows, first, layer)


def _first_token_scores(graph: GraphBuilder, query: str, key: str, layer: EncoderLayer, shapes: Shapes) -> str:
    """Scores of the first token's query (N, D) on all keys (T * N, D): (N, H, T)."""
    length = shapes.max_length
    if layer.p2c is not None:
        # k_j.q_0 + k_j.P_q[-j] = k_j.(q_0 + P_q[-j])
        table = np.ascontiguousarray(layer.p2c[:, length - np.arange(length)].T)
        constant = graph.constant("p2c.table", table[:, None, :])
        rows = graph.node("Slice", constant, graph.ints(0), shapes.tokens, graph.ints(0), name="p2c_rows")
        query_of_key = graph.node("Add", rows, query, name="query_with_p2c")
    else:
        query_of_key = query
    keys = graph.node("Reshape", key, shapes.sequence, name="key_states")
    products = graph.node("Mul", keys, query_of_key, name="products")
    by_head = graph.node("Reshape", products, shapes.split, name="products_by_head")
    sums = graph.node("ReduceSum", by_head, graph.ints(3), keepdims=0, name="scores_by_token")  # (T, N, H)
    scores = graph.node("Transpose", sums, perm=(1, 2, 0), name="content_scores")
    if layer.c2p is None:
        return scores
    split = graph.ints(0, shapes.heads, shapes.head_width)
    queries = graph.node("Reshape", query, split, name="query_split")
    queries = graph.node("Transpose", queries, perm=(1, 0, 2), name="query_by_head")
    constant = graph.constant("c2p.table", np.ascontiguousarray(layer.c2p[:, length:]))
    columns = graph.node("Slice", constant, graph.ints(0), shapes.tokens, graph.ints(1), name="c2p_columns")
    rows = graph.node("Reshape", columns, graph.ints(shapes.heads, shapes.head_width, -1), name="c2p_table")
    by_head = graph.node("MatMul", queries, rows, name="c2p_by_head")  # (H, N, T)
    c2p = graph.node("Transpose", by_head, perm=(1, 0, 2), name="c2p")
    return graph.node("Add", scores, c2p, name="scores_with_c2p")


def _output(graph: GraphBuilder, context: str, residual: str, layer: EncoderLayer) -> str:
    output = linear(graph, context, layer.output, "output")
    return normalise(graph, graph.node("Add", output, residual, name="residual"), layer.output_norm)


def _heads(graph: GraphBuilder, rows: str, shapes: Shapes, name: str) -> str:
    """Rows (T * N, D) seen as (T, N, H, d)."""
    return graph.node("Reshape", rows, shapes.split, name=f"{name}_split")


def _distance_scores(graph: GraphBuilder, heads: str, table: Array, shapes: Shapes, name: str) -> str:
    """Products of queries or keys (N, H, T, d) with their rows of a distance table, in place: (N, H, T, T)."""
    constant = graph.constant(f"{name}.table", np.ascontiguousarray(table))
    columns = graph.node("Slice", constant, shapes.first, shapes.last, graph.ints(1), name=f"{name}_columns")
    by_head = graph.ints(1, shapes.heads, shapes.head_width, -1)
    rows = graph.node("Reshape", columns, by_head, name=f"{name}_table")
    products = graph.node("MatMul", heads, rows, name=f"{name}_products")
    return _skew(graph, products, shapes, name)


def _skew(graph: GraphBuilder, products: str, shapes: Shapes, name: str) -> str:
    """(N, H, T, 2T) whose column e is for distance e - T, to (N, H, T, T) whose column j is for distance j - i.

    In memory, entry (i, j - i + T) is T + i (2T - 1) + j: drop the first T and read on in rows of 2T - 1.
    """
    flat = graph.node("Reshape", products, graph.ints(0, 0, -1), name=f"{name}_flat")
    rest = graph.node("Slice", flat, shapes.tokens, graph.ints(TO_THE_END), graph.ints(2), name=f"{name}_shift")
    rows = graph.node("Reshape", rest, shapes.skewed, name=f"{name}_skewed")
    return graph.node("Slice", rows, graph.ints(0), shapes.tokens, graph.ints(3), name=name)
