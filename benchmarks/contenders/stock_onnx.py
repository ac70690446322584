"""The stock path: optimum's export of Hugging Face's network, and optimum's avx512_vnni int8 of it, in ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError, Workbench, as_feed, versions_key
from benchmarks.contenders.hugging_face import load_stock

FP32, INT8 = "stock fp32", "stock int8"
_MAKERS = ("torch", "transformers", "optimum", "optimum-onnx", "onnxruntime-gpu", "onnxruntime")


def fp32() -> Contender:
    """Optimum's export."""
    return Contender(FP32, "fp32", export_stock, open_stock, "onnxruntime")


def int8() -> Contender:
    """Optimum's dynamic quantisation of it: avx512_vnni, per channel."""
    return Contender(INT8, "int8", quantise_stock, open_stock, "onnxruntime")


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
        return bench.prepared("stock-fp32", versions_key(*_MAKERS), make) / "model.onnx"
    except ImportError as error:
        raise UnavailableError(f"the stock export needs optimum: {error}") from error


def quantise_stock(bench: Workbench) -> Path:
    """The stock int8 model file, made by optimum's quantiser the first time."""
    source = export_stock(bench)

    def make(folder: Path) -> None:
        from optimum.onnxruntime import ORTQuantizer
        from optimum.onnxruntime.configuration import AutoQuantizationConfig

        config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        with _quiet():
            ORTQuantizer(source).quantize(save_dir=folder, quantization_config=config, file_suffix="")

    return bench.prepared("stock-int8", versions_key(*_MAKERS), make) / "model.onnx"


def open_stock(file: Path, threads: int) -> Run:
    """ONNX Runtime as its documentation shows it, on so many threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # or its idle threads take the cores from the contender after it
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(batch: Batch) -> Any:
        return session.run(None, as_feed(batch))[0]

    return run


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
