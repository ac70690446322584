"""ONNX models: written by hand, node by named node, and on disk, in one file or with their weights beside the graph."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model

from serving.exported import data_file

OPSET = 20
"""The first with `Gelu`; ONNX Runtime has it since 1.17."""

IR_VERSION = 9
"""The one that belongs to the opset; newer ones shut out older runtimes for nothing."""

PRODUCER = "emotion-classifiers"

MAX_FILE_BYTES = 1_900_000_000
"""Protocol buffers end at 2 GiB; larger models keep their weights in a file beside the graph."""

GRAPH = "graph.onnx"
WEIGHTS = "weights.bin"
INLINE_BYTES = 1024


class GraphBuilder:
    """Collects nodes and constants; `scope` prefixes their names, and a node's output is called as the node."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._scope: list[str] = []
        self._taken: set[str] = set()

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names within the block start with `name` and a slash."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def _full(self, name: str) -> str:
        full = "/".join((*self._scope, name))
        if full in self._taken:
            raise ValueError(f"the graph already has a node or constant called {full}")
        self._taken.add(full)
        return full

    def constant(self, name: str, value: ArrayLike) -> str:
        """Store an array under the current scope; its full name."""
        full = self._full(name)
        self._constants[full] = np.asarray(value)
        return full

    def ints(self, *values: int) -> str:
        """An int64 vector, such as a shape or axes, shared by all that ask for the same one."""
        name = f"ints/{','.join(map(str, values))}"
        self._constants[name] = np.array(values, dtype=np.int64)
        return name

    def node(self, operator: str, *inputs: str, name: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output under the current scope; the output's name, which is the node's too."""
        full = self._full(name)
        self._nodes.append(helper.make_node(operator, list(inputs), [full], name=full, domain=domain, **attributes))
        return full

    def model(
        self,
        name: str,
        *,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:
        """The finished model; each output must be called as the node that makes it."""
        constants = [numpy_helper.from_array(array, key) for key, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, list(inputs), list(outputs), constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=PRODUCER
        )
        helper.set_model_props(model, dict(metadata))
        return model


def split(model: onnx.ModelProto, folder: Path) -> Path:
    """Write a working copy: a small graph and a file of weights, so that variants of the graph can share the weights.

    The model's own weights are moved out of it.
    """
    path = folder / GRAPH
    onnx.save_model(
        model, path, save_as_external_data=True, location=WEIGHTS, size_threshold=INLINE_BYTES, convert_attribute=False
    )
    return path


def save(model: onnx.ModelProto, path: Path, *, weights_from: Path | None = None) -> None:
    """Write a model as one file, or, above `MAX_FILE_BYTES`, as a graph with `<name>.data` beside it.

    Args:
        model: its weights may lie in `weights_from`, where `split` put them.
        path: the file to write.
        weights_from: that folder.
    """
    if weights_from is not None:
        load_external_data_for_model(model, str(weights_from))
    if stored_bytes(model) <= MAX_FILE_BYTES:
        onnx.save_model(model, path)
        return
    onnx.save_model(model, path, save_as_external_data=True, location=data_file(path).name, size_threshold=INLINE_BYTES)


def stored_bytes(model: onnx.ModelProto) -> int:
    """Bytes of a model in one file, names of tensors left out.

    It is added up, because protobuf cannot say the size of a message above 2 GiB: it raises `EncodeError`.
    """
    weights = sum(
        math.prod(entry.dims) * helper.tensor_dtype_to_np_dtype(entry.data_type).itemsize
        for entry in model.graph.initializer
    )
    return int(weights + sum(node.ByteSize() for node in model.graph.node))
