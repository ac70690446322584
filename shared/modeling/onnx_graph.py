"""Writing an ONNX graph by hand: every node and every constant gets a name that says where it belongs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
"""The first with `Gelu`; ONNX Runtime has it since 1.17."""

CONTRIBUTED = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""

_IR_VERSION = 9


class GraphBuilder:
    """Collects nodes and constants in order; `scope` prefixes their names, and a node's output has its node's name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._names: set[str] = set()
        self._scope: list[str] = []

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names within the block start with `name` and a slash."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def constant(self, name: str, value: ArrayLike) -> str:
        """Store an array under the current scope and return its name; equal names must hold equal arrays."""
        full = "/".join((*self._scope, name))
        array = np.asarray(value)
        if full in self._constants and not np.array_equal(self._constants[full], array):
            raise ValueError(f"two different constants are called {full}")
        self._constants[full] = array
        return full

    def ints(self, *values: int) -> str:
        """A shared int64 vector, such as a shape or axes."""
        name = "ints[" + ",".join(map(str, values)) + "]"
        self._constants[name] = np.array(values, dtype=np.int64)
        return name

    def node(
        self, operator: str, *inputs: str, name: str, domain: str = "", outputs: Sequence[str] = (), **attributes: Any
    ) -> str:
        """Add a node and return its first output, called as the node is; `outputs` name further ones."""
        full = "/".join((*self._scope, name))
        if full in self._names:
            raise ValueError(f"two nodes are called {full}")
        self._names.add(full)
        extra = ["/".join((*self._scope, output)) for output in outputs]
        self._nodes.append(
            helper.make_node(operator, list(inputs), [full, *extra], name=full, domain=domain, **attributes)
        )
        return full

    def model(
        self,
        *,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        name: str,
        metadata: Mapping[str, str] | None = None,
    ) -> onnx.ModelProto:
        """The finished model, checked by `onnx.checker`."""
        constants = [numpy_helper.from_array(array, key) for key, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, list(inputs), list(outputs), constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)],
            ir_version=_IR_VERSION,
            producer_name="emotion-classifiers",
        )
        helper.set_model_props(model, dict(metadata or {}))
        return model


def tensor(name: str, kind: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """Description of a graph input or output."""
    return helper.make_tensor_value_info(name, kind, list(shape))


INT64, FLOAT, INT32, INT8, FLOAT16 = (
    TensorProto.INT64,
    TensorProto.FLOAT,
    TensorProto.INT32,
    TensorProto.INT8,
    TensorProto.FLOAT16,
)
