"""ONNX graphs: the stock path (optimum's export and its avx512_vnni int8), and ours in both precisions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError, Workbench
from benchmarks.contenders.models import V3_BASE, random_subject
from benchmarks.contenders.networks import load_stock

STOCK_FP32, STOCK_INT8 = "stock fp32", "stock int8"
OURS_FP32, OURS_INT8 = "ours fp32", "ours int8"


def contenders() -> list[Contender]:
    """Optimum's export and its dynamic quantisation, and ours."""
    ours, stock = "serving.runtime", "onnxruntime"
    return [
        Contender(STOCK_FP32, "fp32", export_stock, open_stock, stock),
        Contender(OURS_FP32, "fp32", export_ours, open_ours, ours),
        Contender(STOCK_INT8, "int8", quantise_stock, open_stock, stock),
        Contender(OURS_INT8, "int8", quantise_ours, open_ours, ours),
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
        with warnings.catch_warnings(action="ignore"):  # of the tracer
            export_pytorch(model, config, config.DEFAULT_ONNX_OPSET, folder / "model.onnx")

    try:
        return bench.prepared("stock-fp32", make) / "model.onnx"
    except ImportError as error:
        raise UnavailableError(f"the stock export needs optimum: {error}") from error


def quantise_stock(bench: Workbench) -> Path:
    """The stock int8 model file, made by optimum's quantiser the first time: avx512_vnni, per channel."""
    source = export_stock(bench)

    def make(folder: Path) -> None:
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        with warnings.catch_warnings(action="ignore"):  # of the tracer
            ORTQuantizer(source).quantize(save_dir=folder, quantization_config=config, file_suffix="")

    return bench.prepared("stock-int8", make) / "model.onnx"


def open_stock(file: Path, threads: int) -> Run:
    """ONNX Runtime as its documentation shows it, on so many threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # or its idle threads take the cores from the contender after it
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    asked = {node.name for node in session.get_inputs()}

    def run(batch: Batch) -> Any:
        # a checkpoint with types of tokens is exported with an input for them: a single text has type 0
        types = {"token_type_ids": np.zeros_like(batch["input_ids"])} if "token_type_ids" in asked else {}
        return session.run(None, {**batch, **types})[0]

    return run


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

    return bench.prepared(f"ours-{precision}", save) / "model.onnx"


def open_ours(file: Path, threads: int) -> Run:
    """ONNX Runtime as the service opens it."""
    from serving.runtime import open_session

    session = open_session(file, threads=threads)
    return lambda batch: session.run(None, dict(batch))[0]


def base_files(made: Path) -> dict[str, int]:
    """Bytes of our fp32 and int8 files of DeBERTa-v3-base, half of it embeddings."""
    bench = random_subject(V3_BASE, made).bench
    return {"fp32": export_ours(bench).stat().st_size, "int8": quantise_ours(bench).stat().st_size}
