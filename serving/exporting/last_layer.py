"""The last layer of an exported classifier: found in its graph, read before it, given another; without torch.

Every export ends in logits = pooled @ weight + bias. While a bundle is adapted, its graph gains the pooled vector as an
output; the file that is served stays as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from serving.exporting.onnx_models import save
from serving.own_layer import OwnLayer
from serving.predictor import OUTPUT, Predictor, batch_limits, batches_by_length
from serving.runtime import open_session
from shared.errors import ExportError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LastLayer:
    """Where the last layer of a graph is.

    Attributes:
        pooled: the tensor it reads, shape (N, D).
        weight: name of its constant weight.
        bias: name of its constant bias.
        transposed: whether the weight is stored as (L, D).
    """

    pooled: str
    weight: str
    bias: str
    transposed: bool

    def values(self, model: onnx.ModelProto) -> tuple[Floats, Floats]:
        """Weight, shape (D, L), and bias, shape (L,)."""
        stored = {entry.name: entry for entry in model.graph.initializer}
        weight, bias = (numpy_helper.to_array(stored[name]).astype(np.float32) for name in (self.weight, self.bias))
        return (weight.T if self.transposed else weight), bias


def find_last_layer(model: onnx.ModelProto) -> LastLayer:
    """The layer whose outcome are the logits.

    Raises:
        ExportError: when it is no product with constant float weights plus a constant bias.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    floats = {
        entry.name
        for entry in model.graph.initializer
        if entry.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }
    last = makers.get(OUTPUT)
    if last is not None and last.op_type == "Gemm" and len(last.input) == 3 and set(last.input[1:]) <= floats:
        given = {entry.name: onnx.helper.get_attribute_value(entry) for entry in last.attribute}
        if not given.get("transA") and given.get("alpha", 1) == given.get("beta", 1) == 1:
            pooled, weight, bias = last.input
            return LastLayer(pooled, weight, bias, transposed=bool(given.get("transB")))
    if last is not None and last.op_type == "Add":
        for one, bias in (last.input, reversed(last.input)):
            product = makers.get(one)
            if product is not None and product.op_type == "MatMul" and {product.input[1], bias} <= floats:
                return LastLayer(product.input[0], product.input[1], bias, transposed=False)
    raise ExportError("its last layer is not a product with float weights and a bias (in int8 it is where L >= 64)")


def pooled_vectors(predictor: Predictor, texts: Sequence[str], threads: int | None = None) -> tuple[Floats, Floats]:
    """What the last layer reads, shape (N, D), and the logits, shape (N, L), of N texts.

    Raises:
        ExportError: when there is no such layer.
    """
    model = _load_model(predictor.model.path)
    layer = find_last_layer(model)
    if layer.pooled not in {value.name for value in model.graph.output}:
        kind = next(entry.data_type for entry in model.graph.initializer if entry.name == layer.weight)
        model.graph.output.append(onnx.helper.make_tensor_value_info(layer.pooled, kind, None))
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        path = Path(folder) / "pooled.onnx"
        save(model, path)
        session = open_session(path, threads=threads)
        encoded = predictor.tokenizer.encode(texts)
        pooled = np.empty((len(texts), layer.values(model)[0].shape[0]), np.float32)
        logits = np.empty((len(texts), len(predictor.labels)), np.float32)
        for rows in batches_by_length([len(row.ids) for row in encoded], *batch_limits(session)):
            inputs = predictor.tokenizer.pad([encoded[row] for row in rows])
            pooled[rows], logits[rows] = session.run([layer.pooled, OUTPUT], inputs)
    return pooled, logits


def read_last_layer(path: Path) -> tuple[Floats, Floats]:
    """Weight, shape (D, L), and bias, shape (L,), of a model's last layer.

    Raises:
        ExportError: when there is no such layer.
    """
    model = _load_model(path)
    return find_last_layer(model).values(model)


def last_layer_of(path: Path, weight: Floats, bias: Floats, weights_sha256: str) -> OwnLayer:
    """Another last layer for a model, in the form that its graph has.

    Args:
        path: the model.
        weight: shape (D, L).
        bias: shape (L,).
        weights_sha256: names the weights that the layer is of.

    Raises:
        ExportError: when the model's last layer is none that can be replaced.
    """
    model = onnx.load(path, load_external_data=False)
    layer = find_last_layer(model)
    new = {layer.weight: weight.T if layer.transposed else weight, layer.bias: bias}
    kinds = {entry.name: onnx.helper.tensor_dtype_to_np_dtype(entry.data_type) for entry in model.graph.initializer}
    constants = {name: np.ascontiguousarray(value, kinds[name]) for name, value in new.items()}
    return OwnLayer(constants, weights_sha256)


def _load_model(path: Path) -> onnx.ModelProto:
    """A model with its own last layer, where one lies beside it."""
    model, own = onnx.load(path), OwnLayer.read(path)
    constants = {} if own is None else own.constants
    for entry in model.graph.initializer:
        if entry.name in constants:
            entry.CopyFrom(numpy_helper.from_array(constants[entry.name], entry.name))
    return model
