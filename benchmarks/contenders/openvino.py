"""OpenVINO on the stock graph and on ours, where it is installed; it is no dependency of the project."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError, Workbench, as_feed


def on_graph(name: str, precision: str, graph: Callable[[Workbench], Path]) -> Contender:
    """OpenVINO running the ONNX file that `graph` prepares, compiled anew for each shape of batch.

    Its CPU plug-in refuses the stock graph with dynamic shapes (an `If` of dynamic rank), and fixed ones are the faster
    choice for both.
    """

    def prepare(bench: Workbench) -> Path:
        if find_spec("openvino") is None:
            raise UnavailableError("openvino is not installed")
        return graph(bench)

    return Contender(name, precision, prepare, _open, "openvino")


def _open(file: Path, threads: int) -> Run:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # otherwise it takes bf16 where the CPU has it, and compares two precisions
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    compiled: dict[tuple[int, ...], Any] = {}

    def request_for(shape: tuple[int, ...]) -> Any:
        if shape not in compiled:
            try:
                model = core.read_model(file)
                model.reshape({port.any_name: list(shape) for port in model.inputs})
                compiled[shape] = core.compile_model(model, "CPU", settings).create_infer_request()
            except RuntimeError as error:
                raise UnavailableError(f"OpenVINO cannot load this graph: {_last_line(error)}") from error
        return compiled[shape]

    def run(batch: Batch) -> Any:
        request = request_for(batch["input_ids"].shape)
        request.infer(as_feed(batch))
        return request.get_output_tensor(0).data.copy()

    return run


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
