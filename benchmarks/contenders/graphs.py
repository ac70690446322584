"""ONNX graphs: the stock path (optimum's export and its avx512_vnni int8), ours in three precisions, and OpenVINO."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.contenders.contender import (
    Batch,
    Contender,
    Run,
    UnavailableError,
    Workbench,
    as_feed,
    sources_key,
    versions_key,
)
from benchmarks.contenders.models import V3_BASE, random_subject
from benchmarks.contenders.networks import load_stock

STOCK_FP32, STOCK_INT8 = "stock fp32", "stock int8"
OURS_FP32, OURS_INT8, OURS_FP16 = "ours fp32", "ours int8", "ours fp16"
_ROOT = Path(__file__).parents[2]
_STOCK_MAKERS = ("torch", "transformers", "optimum", "optimum-onnx", "onnxruntime-gpu", "onnxruntime")
_OUR_MAKERS = ("torch", "transformers", "onnx", "onnxruntime-gpu", "onnxruntime")


def contenders() -> list[Contender]:
    """Optimum's export and its dynamic quantisation, ours, and OpenVINO on all four."""
    ours, stock = "serving.runtime", "onnxruntime"
    return [
        Contender(STOCK_FP32, "fp32", export_stock, open_stock, stock),
        Contender(OURS_FP32, "fp32", export_ours, open_ours, ours),
        Contender(STOCK_INT8, "int8", quantise_stock, open_stock, stock),
        Contender(OURS_INT8, "int8", quantise_ours, open_ours, ours),
        Contender(OURS_FP16, "fp16", halve_ours, open_ours, ours),
        openvino("OpenVINO, stock fp32", "fp32", export_stock),
        openvino("OpenVINO, ours fp32", "fp32", export_ours),
        openvino("OpenVINO, stock int8", "int8", quantise_stock),
        openvino("OpenVINO, ours int8", "int8", quantise_ours),
    ]


def export_stock(bench: Workbench) -> Path:
    """The stock fp32 model file, made by optimum's exporter the first time."""

    def make(folder: Path) -> None:
        from optimum.exporters.onnx.convert import export_pytorch
        from optimum.exporters.tasks import TasksManager

        model = load_stock(bench.checkpoint)
        constructor = TasksManager.get_exporter_config_constructor(
            "onnx", model_type=model.config.model_type, task="text-classification", library_name="transformers"
        )
        config = constructor(model.config, task="text-classification")
        with _quiet():
            export_pytorch(model, config, config.DEFAULT_ONNX_OPSET, folder / "model.onnx")

    try:
        return bench.prepared("stock-fp32", versions_key(*_STOCK_MAKERS), make) / "model.onnx"
    except ImportError as error:
        raise UnavailableError(f"the stock export needs optimum: {error}") from error


def quantise_stock(bench: Workbench) -> Path:
    """The stock int8 model file, made by optimum's quantiser the first time: avx512_vnni, per channel."""
    source = export_stock(bench)

    def make(folder: Path) -> None:
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        with _quiet():
            ORTQuantizer(source).quantize(save_dir=folder, quantization_config=config, file_suffix="")

    return bench.prepared("stock-int8", versions_key(*_STOCK_MAKERS), make) / "model.onnx"


def open_stock(file: Path, threads: int) -> Run:
    """ONNX Runtime as its documentation shows it, on so many threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # or its idle threads take the cores from the contender after it
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, as_feed(batch))[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep tracer warnings and progress of the exporter off the terminal; errors still rise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def export_ours(bench: Workbench) -> Path:
    """Our fp32 model file: the bundle's, or made the first time."""

    def make() -> Any:
        from serving.exporting.graph import export_graph
        from shared.modeling.classifier import load_classifier

        return export_graph(load_classifier(bench.checkpoint))

    return _ours(bench, "fp32", make)


def quantise_ours(bench: Workbench) -> Path:
    """Our int8 model file: the bundle's, or made the first time."""

    def make() -> Any:
        import onnx

        from serving.exporting.quantise import Quantiser

        source = export_ours(bench)
        return Quantiser(onnx.load(source), source.parent).run()

    return _ours(bench, "int8", make)


def halve_ours(bench: Workbench) -> Path:
    """Our fp16 model file, for CUDA alone: the bundle's, or made the first time."""
    from serving.runtime import CUDA, available_provider

    if available_provider() != CUDA:
        raise UnavailableError("fp16 is for CUDA, and no CUDA device answers here")

    def make() -> Any:
        import onnx

        from serving.exporting.fp16 import convert_to_fp16

        return convert_to_fp16(onnx.load(export_ours(bench)))

    return _ours(bench, "fp16", make)


def _ours(bench: Workbench, precision: str, make: Callable[[], Any]) -> Path:
    if bench.bundle is not None:
        from serving.exported import FILES

        file = bench.bundle / "onnx" / FILES[precision]
        if not file.is_file():
            raise UnavailableError(
                f"the bundle has no {precision} export: run `python -m serving.export {bench.bundle}`"
            )
        return file

    def save(folder: Path) -> None:
        import onnx

        onnx.save(make(), folder / "model.onnx")

    key = f"{versions_key(*_OUR_MAKERS)}-{sources_key(_ROOT / 'shared' / 'modeling', _ROOT / 'serving')}"
    return bench.prepared(f"ours-{precision}", key, save) / "model.onnx"


def open_ours(file: Path, threads: int) -> Run:
    """ONNX Runtime as the service opens it."""
    from serving.runtime import open_session

    session = open_session(file, threads=threads)

    def run(batch: Batch) -> Any:
        return session.run(None, as_feed(batch))[0]

    return run


def base_files(cache: Path) -> dict[str, int]:
    """Bytes of our fp32 and int8 files of DeBERTa-v3-base, half of it embeddings; empty where not possible."""
    try:
        bench = random_subject(V3_BASE, cache).bench
        return {"fp32": export_ours(bench).stat().st_size, "int8": quantise_ours(bench).stat().st_size}
    except UnavailableError:
        return {}


def openvino(name: str, precision: str, graph: Callable[[Workbench], Path]) -> Contender:
    """OpenVINO running the ONNX file that `graph` prepares, compiled anew for each shape of batch.

    It is no dependency of the project. Its CPU plug-in refuses the stock graph with dynamic shapes (an `If` of dynamic
    rank), and fixed ones are the faster choice for both.
    """

    def prepare(bench: Workbench) -> Path:
        if find_spec("openvino") is None:
            raise UnavailableError("openvino is not installed")
        return graph(bench)

    return Contender(name, precision, prepare, _open_openvino, "openvino")


def _open_openvino(file: Path, threads: int) -> Run:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        # otherwise it takes bf16 where the CPU has it, and compares two precisions
        "INFERENCE_PRECISION_HINT": "f32",
    }  # fmt: skip
    core = openvino.Core()
    compiled: dict[tuple[int, ...], Any] = {}

    def run(batch: Batch) -> Any:
        shape = batch["input_ids"].shape
        if shape not in compiled:
            try:
                model = core.read_model(file)
                model.reshape({port.any_name: list(shape) for port in model.inputs})
                compiled[shape] = core.compile_model(model, "CPU", settings).create_infer_request()
            except RuntimeError as error:
                last = str(error).strip().split("\n")[-1]
                raise UnavailableError(f"OpenVINO cannot load this graph: {last.strip()[:200]}") from error
        compiled[shape].infer(as_feed(batch))
        return compiled[shape].get_output_tensor(0).data.copy()

    return run
