"""Writing an ONNX graph by hand: every node and every constant gets a name that says where it belongs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

OPSET = 20
"""The first with `Gelu`; ONNX Runtime has it since 1.17."""

IR_VERSION = 9
"""The one that belongs to the opset; newer ones shut out older runtimes for nothing."""

PRODUCER = "emotion-classifiers"


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
