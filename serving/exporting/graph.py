"""A DeBERTa-v2 classifier as an ONNX graph written by hand: fewer, faster operators for the same function.

The graph uses standard operators alone, so any runtime can read it. What is folded at export: the projections of all
relative positions (tables per distance), the scale of the softmax, the bias of the values, token type 0. With CLS
pooling the last layer computes its queries and its feed-forward for the first token alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import nn
from transformers import DebertaV2ForSequenceClassification, DebertaV2Model

from serving.exporting.graph_attention import Shapes, first_token_attention, linear, normalise, self_attention
from serving.exporting.graph_weights import EncoderLayer, Linear, Norm, encoder_layers, numpy_of
from serving.exporting.onnx_models import GraphBuilder
from shared.errors import ExportError
from shared.modeling.mean_pooling import MeanPoolingClassifier
from shared.modeling.token_types import KEY as SEPARATOR

MASKED = -30000.0
"""Added to the scores of padding: far below any score, and within the range of fp16."""

Activation = Callable[[GraphBuilder, str, str], str]


def _unary(operator: str, **attributes: Any) -> Activation:
    return lambda graph, x, name: graph.node(operator, x, name=name, **attributes)


def _silu(graph: GraphBuilder, x: str, name: str) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x, name=f"{name}_gate"), name=name)


ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": _unary("Gelu"),
    "gelu_new": _unary("Gelu", approximate="tanh"),
    "gelu_fast": _unary("Gelu", approximate="tanh"),
    "gelu_pytorch_tanh": _unary("Gelu", approximate="tanh"),
    "relu": _unary("Relu"),
    "tanh": _unary("Tanh"),
    "sigmoid": _unary("Sigmoid"),
    "mish": _unary("Mish"),
    "silu": _silu,
    "swish": _silu,
    "linear": _unary("Identity"),
}
"""Activations by the names Hugging Face's configurations use."""


def unsupported_reason(classifier: nn.Module) -> str | None:
    """Why this module cannot write a classifier's graph, None when it can."""
    encoder = getattr(classifier, "deberta", None)
    if not isinstance(encoder, DebertaV2Model):
        return f"its encoder is no DeBERTa-v2 ({getattr(classifier.config, 'model_type', type(classifier).__name__)})"
    if not isinstance(classifier, (DebertaV2ForSequenceClassification, MeanPoolingClassifier)):
        return f"{type(classifier).__name__} has a head of its own"
    config: Any = classifier.config
    used = [config.hidden_act]
    used += [config.pooler_hidden_act] if isinstance(classifier, DebertaV2ForSequenceClassification) else []
    used += [getattr(config, "conv_act", "tanh")] if encoder.encoder.conv is not None else []
    unknown = [str(name) for name in used if name not in ACTIVATIONS]
    return f"it has the activation {', '.join(unknown)}" if unknown else None


def export_graph(
    classifier: nn.Module, *, max_length: int | None = None, metadata: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """The classifier as a model with inputs input_ids and attention_mask, int64 (N, T), and output logits (N, L).

    Args:
        classifier: a DeBERTa-v2 classifier with CLS or mean pooling.
        max_length: most tokens an input may have; what the configuration allows when None.
        metadata: text properties to store in the model.

    Raises:
        ExportError: for what `unsupported_reason` names, or for more tokens than there are position embeddings.
    """
    reason = unsupported_reason(classifier)
    if reason:
        raise ExportError(f"the classifier cannot be written as a graph: {reason}.")
    config: Any = classifier.config
    limit = config.max_position_embeddings
    length = max_length or limit
    if length > limit and config.position_biased_input:
        raise ExportError(f"max_length {length} is more than the model's {limit} position embeddings.")
    graph = GraphBuilder()
    shapes, ids, mask = _inputs(graph, config, length)
    pooled = _encode(graph, classifier, shapes, ids, mask)
    logits = _head(graph, classifier, pooled)
    width = int(classifier.classifier.out_features)  # type: ignore[union-attr, arg-type]
    return graph.model(
        "deberta_v2_classifier",
        inputs=[_info(name, TensorProto.INT64, "tokens") for name in ("input_ids", "attention_mask")],
        outputs=[_info(logits, TensorProto.FLOAT, width)],
        metadata=metadata or {},
    )


def _info(name: str, kind: int, last: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["examples", last])


def _inputs(graph: GraphBuilder, config: Any, length: int) -> tuple[Shapes, str, str]:
    """Shapes of the batch, token ids (T, N) and the mask as float (N, T)."""
    heads, width = config.num_attention_heads, config.hidden_size
    with graph.scope("mask"):
        mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT, name="float")
        padding = graph.node("Sub", graph.constant("one", np.float32(1)), mask, name="padding")
        bias = graph.node("Mul", padding, graph.constant("masked", np.float32(MASKED)), name="scores")
        bias = graph.node("Unsqueeze", bias, graph.ints(1, 2), name="scores_by_head")
    with graph.scope("shapes"):
        ids = graph.node("Transpose", "input_ids", perm=(1, 0), name="time_major_ids")
        shape = graph.node("Shape", ids, name="tokens_and_examples")
        tokens = graph.node("Slice", shape, graph.ints(0), graph.ints(1), name="tokens")
        shapes = Shapes(
            heads=heads,
            head_width=width // heads,
            width=width,
            max_length=length,
            tokens=tokens,
            examples=graph.node("Slice", shape, graph.ints(1), graph.ints(2), name="examples"),
            split=graph.node("Concat", shape, graph.ints(heads, width // heads), axis=0, name="split"),
            sequence=graph.node("Concat", shape, graph.ints(width), axis=0, name="sequence"),
            skewed=graph.node("Concat", graph.ints(0, 0), tokens, graph.ints(-1), axis=0, name="skewed"),
            first=graph.node("Sub", graph.ints(length), tokens, name="first_distance"),
            last=graph.node("Add", graph.ints(length), tokens, name="last_distance"),
            mask=bias,
        )
    return shapes, ids, mask


def _encode(graph: GraphBuilder, classifier: Any, shapes: Shapes, ids: str, mask: str) -> str:
    """Pooled states (N, D)."""
    config, encoder = classifier.config, classifier.deberta.encoder
    pools_first = isinstance(classifier, DebertaV2ForSequenceClassification)
    with graph.scope("embeddings"):
        embedded = _embeddings(graph, classifier.deberta.embeddings, ids, shapes, getattr(config, SEPARATOR, None))
    states = embedded
    layers = encoder_layers(encoder, shapes.max_length)
    for number, layer in enumerate(layers):
        convolved = number == 0 and encoder.conv is not None
        alone = pools_first and number == len(layers) - 1 and not convolved
        with graph.scope(f"layer_{number}"):
            with graph.scope("attention"):
                attend = first_token_attention if alone else self_attention
                attended = attend(graph, states, layer, shapes)
            with graph.scope("feed_forward"):
                states = _feed_forward(graph, attended, layer, config.hidden_act)
            if convolved:
                with graph.scope("convolution"):
                    states = _convolution(graph, encoder.conv, embedded, states, mask=mask, shapes=shapes)
    with graph.scope("pooling"):
        if not pools_first:
            return _mean(graph, states, mask, shapes)
        if alone:
            return states
        return graph.node("Slice", states, graph.ints(0), shapes.examples, graph.ints(0), name="first_token")


def _embeddings(graph: GraphBuilder, module: Any, ids: str, shapes: Shapes, separator: int | None) -> str:
    """Normalised embeddings as rows (T * N, D), time-major; tokens behind the first separator are of type 1.

    Hugging Face also multiplies them with the mask; only the convolution can tell, and does it itself.
    """
    words = numpy_of(module.word_embeddings.weight)
    always = numpy_of(module.token_type_embeddings.weight)[0] if module.token_type_embeddings is not None else 0
    positions = module.position_embeddings if module.position_biased_input else None
    table = graph.constant("words.table", words if positions is not None else words + always)
    x = graph.node("Gather", table, ids, name="words")
    if positions is not None:
        table = graph.constant("positions.table", (numpy_of(positions.weight) + always)[: shapes.max_length, None, :])
        rows = graph.node("Slice", table, graph.ints(0), shapes.tokens, graph.ints(0), name="positions")
        x = graph.node("Add", x, rows, name="words_and_positions")
    if separator is not None:
        x = graph.node("Add", x, _second_segment(graph, module.token_type_embeddings, ids, separator), name="typed")
    if module.embed_proj is not None:
        weight = graph.constant("projection.weight", np.ascontiguousarray(numpy_of(module.embed_proj.weight).T))
        x = graph.node("MatMul", x, weight, name="projection")
    rows = graph.node("Reshape", x, graph.ints(-1, shapes.width), name="rows")
    return normalise(graph, rows, Norm.of(module.LayerNorm))


def _second_segment(graph: GraphBuilder, types: Any, ids: str, separator: int) -> str:
    """What type 1 adds to type 0, (T, N, D), where a separator came before; as `shared.modeling.token_types`."""
    found = graph.node("Equal", ids, graph.constant("separator", np.int64(separator)), name="is_separator")
    ones = graph.node("Cast", found, to=TensorProto.INT32, name="separators")
    before = graph.node("CumSum", ones, graph.constant("time", np.int64(0)), exclusive=1, name="separators_before")
    behind = graph.node("Cast", before, to=TensorProto.BOOL, name="is_behind")
    flags = graph.node("Cast", behind, to=TensorProto.FLOAT, name="behind")
    flags = graph.node("Unsqueeze", flags, graph.ints(2), name="behind_by_width")
    rows = numpy_of(types.weight)
    return graph.node("Mul", flags, graph.constant("types.difference", rows[1] - rows[0]), name="type")


def _feed_forward(graph: GraphBuilder, x: str, layer: EncoderLayer, activation: str) -> str:
    raised = ACTIVATIONS[activation](graph, linear(graph, x, layer.up, "up"), activation)
    lowered = linear(graph, raised, layer.down, "down")
    return normalise(graph, graph.node("Add", lowered, x, name="residual"), layer.down_norm)


def _convolution(graph: GraphBuilder, module: Any, x: str, residual: str, *, mask: str, shapes: Shapes) -> str:
    """The convolution over the embeddings that larger DeBERTa-v2 models add to their first layer."""
    present = graph.node("Transpose", mask, perm=(1, 0), name="mask_by_token")
    present = graph.node("Unsqueeze", present, graph.ints(2), name="mask")
    states = graph.node("Reshape", x, shapes.sequence, name="embeddings")
    states = graph.node("Mul", states, present, name="masked_embeddings")
    channels = graph.node("Transpose", states, perm=(1, 2, 0), name="channels")
    weight = graph.constant("convolution.weight", numpy_of(module.conv.weight))
    bias = graph.constant("convolution.bias", numpy_of(module.conv.bias))
    pads = [module.conv.padding[0]] * 2
    y = graph.node("Conv", channels, weight, bias, group=module.conv.groups, pads=pads, name="convolution")
    y = graph.node("Transpose", y, perm=(2, 0, 1), name="convolution_by_token")
    y = ACTIVATIONS[module.conv_act](graph, y, module.conv_act)
    rows = graph.node("Reshape", y, graph.ints(-1, shapes.width), name="rows")
    return normalise(graph, graph.node("Add", rows, residual, name="residual"), Norm.of(module.LayerNorm))


def _mean(graph: GraphBuilder, x: str, mask: str, shapes: Shapes) -> str:
    """Mean of the states of every example's tokens, (N, D)."""
    states = graph.node("Reshape", x, shapes.sequence, name="states")
    states = graph.node("Transpose", states, perm=(1, 0, 2), name="states_by_example")
    weights = graph.node("Unsqueeze", mask, graph.ints(1), name="mask")
    total = graph.node("Squeeze", graph.node("MatMul", weights, states, name="sums"), graph.ints(1), name="sum")
    count = graph.node("ReduceSum", mask, graph.ints(1), keepdims=1, name="tokens")
    count = graph.node("Max", count, graph.constant("one", np.float32(1)), name="count")
    return graph.node("Div", total, count, name="mean")


def _head(graph: GraphBuilder, classifier: Any, pooled: str) -> str:
    with graph.scope("head"):
        if isinstance(classifier, DebertaV2ForSequenceClassification):
            dense, activation = classifier.pooler.dense, str(classifier.config.pooler_hidden_act)
        else:
            dense = classifier.mean_pooler.dense
            activation = "tanh" if isinstance(classifier.mean_pooler.activation, nn.Tanh) else "gelu"
        if dense is not None:
            pooled = ACTIVATIONS[activation](graph, linear(graph, pooled, Linear.of(dense), "pooler"), activation)
        last = Linear.of(classifier.classifier)
        weight, bias = graph.constant("classifier.weight", last.weight), graph.constant("classifier.bias", last.bias)
    return graph.node("Gemm", pooled, weight, bias, name="logits")
