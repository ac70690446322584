"""Small batches on CUDA in few fixed shapes, each replayed as one graph from memory on the device that stays in place.

A batch is padded to the next shape: further rows are empty, further tokens masked. Each shape is run, recorded and
compared with a plain run when the model is loaded, so that no request waits for it; where results differ or ONNX
Runtime cannot record the model, all runs are plain and the log says why. (CUDA graphs of
ONNX Runtime need IO binding and are told apart by `gpu_graph_id`,
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html.)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serving.runtime import run_options

logger = logging.getLogger(__name__)

SHAPES = tuple(product((1, 4, 16), (16, 32, 64, 128)))
"""Rows and tokens that batches are padded to."""

TOLERANCE = 5e-2
"""Largest difference of a logit between a padded, replayed batch and a plain one, in fp16."""

RUNS_BEFORE_REPLAY = 3
"""The first run of a shape allocates, one of the next is recorded."""

Batch = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class _Bound:
    inputs: dict[str, Any]
    output: Any
    binding: Any
    options: Any


class BoundRuns:
    """Runs of one session in fixed shapes; safe to call from several threads.

    Args:
        session: opened with CUDA graphs, or on a CPU, where the same is done without graphs.
        output: name of its output.
        labels: L.
        shapes: (rows, tokens) of each.
        device: "cuda" or "cpu".
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        output: str,
        labels: int,
        *,
        shapes: Sequence[tuple[int, int]] = SHAPES,
        device: str = "cuda",
    ) -> None:
        self.session, self.output = session, output
        self.failure: str | None = None
        self._lock = threading.Lock()
        self._bound: dict[tuple[int, int], _Bound] = {}
        try:
            for number, shape in enumerate(sorted(shapes, key=lambda shape: shape[0] * shape[1]), 1):
                self._bound[shape] = self._bind(shape, labels, device, number)
                self._check(shape)
        except Exception as error:  # ONNX Runtime's own have no common base
            self.failure = " ".join(str(error).split())[:300]
            self._bound.clear()
            logger.warning("batches are NOT replayed as CUDA graphs: %s", self.failure)

    def __call__(self, batch: Batch) -> NDArray[np.float32] | None:
        """Logits, shape (N, L), of a padded batch (N, T); None where no shape holds it."""
        rows, tokens = batch["input_ids"].shape
        shape = next((known for known in self._bound if known[0] >= rows and known[1] >= tokens), None)
        if shape is None:
            return None
        bound = self._bound[shape]
        with self._lock:
            for name, values in batch.items():
                whole = np.zeros(shape, dtype=np.int64)
                whole[:rows, :tokens] = values
                bound.inputs[name].update_inplace(whole)
            self.session.run_with_iobinding(bound.binding, bound.options)
            logits: NDArray[np.float32] = bound.output.numpy()
        return logits[:rows]

    def _bind(self, shape: tuple[int, int], labels: int, device: str, number: int) -> _Bound:
        value = ort.OrtValue
        inputs = {name: value.ortvalue_from_numpy(np.ones(shape, dtype=np.int64), device, 0)
                  for name in (entry.name for entry in self.session.get_inputs())}  # fmt: skip
        output = value.ortvalue_from_shape_and_type([shape[0], labels], np.float32, device, 0)
        binding = self.session.io_binding()
        for name, held in inputs.items():
            binding.bind_ortvalue_input(name, held)
        binding.bind_ortvalue_output(self.output, output)
        return _Bound(inputs, output, binding, run_options(graph=number))

    def _check(self, shape: tuple[int, int]) -> None:
        rows, tokens = max(1, shape[0] - 1), max(1, shape[1] - 3)
        ids = np.arange(rows * tokens, dtype=np.int64).reshape(rows, tokens) % 50 + 5
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        plain = self.session.run([self.output], batch, run_options())[0]
        for _ in range(RUNS_BEFORE_REPLAY + 1):
            found = self(batch)
        difference = float("inf") if found is None else float(np.abs(found - plain).max())
        if not difference <= TOLERANCE:
            raise ValueError(f"a batch of {shape[0]} x {shape[1]} differs by {difference:.2g} from a plain run")
