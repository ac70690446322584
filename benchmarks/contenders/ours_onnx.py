"""Ours: the exported graph in fp32, int8 and, on CUDA, fp16, opened as the service opens it."""

from __future__ import annotations

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
from benchmarks.contenders.model import V3_BASE
from benchmarks.contenders.sources import random_subject

FP32, INT8, FP16 = "ours fp32", "ours int8", "ours fp16"
_ROOT = Path(__file__).parents[2]
_MAKERS = ("torch", "transformers", "onnx", "onnxruntime-gpu", "onnxruntime")


def fp32() -> Contender:
    """Our export."""
    return Contender(FP32, "fp32", export_fp32, open_ours, "serving.runtime")


def int8() -> Contender:
    """Our dynamic quantisation of it."""
    return Contender(INT8, "int8", quantise_ours, open_ours, "serving.runtime")


def fp16() -> Contender:
    """Our half precision, for CUDA alone."""
    return Contender(FP16, "fp16", halve, open_ours, "serving.runtime")


def export_fp32(bench: Workbench) -> Path:
    """Our fp32 model file: the bundle's, or made the first time."""
    if bench.bundle is not None:
        return _of_bundle(bench.bundle, "fp32")

    def make(folder: Path) -> None:
        import onnx

        from serving.exporting.graph import export_graph
        from shared.modeling.classifier import load_classifier

        onnx.save(export_graph(load_classifier(bench.checkpoint)), folder / "model.onnx")

    return bench.prepared("ours-fp32", _key(), make) / "model.onnx"


def quantise_ours(bench: Workbench) -> Path:
    """Our int8 model file: the bundle's, or made the first time."""
    if bench.bundle is not None:
        return _of_bundle(bench.bundle, "int8")
    source = export_fp32(bench)

    def make(folder: Path) -> None:
        import onnx

        from serving.exporting.quantise import Quantiser

        onnx.save(Quantiser(onnx.load(source), source.parent).run(), folder / "model.onnx")

    return bench.prepared("ours-int8", _key(), make) / "model.onnx"


def halve(bench: Workbench) -> Path:
    """Our fp16 model file: the bundle's, or made the first time."""
    from serving.runtime import CUDA, available_provider

    if available_provider() != CUDA:
        raise UnavailableError("fp16 is for CUDA, and no CUDA device answers here")
    if bench.bundle is not None:
        return _of_bundle(bench.bundle, "fp16")
    source = export_fp32(bench)

    def make(folder: Path) -> None:
        import onnx

        from serving.exporting.fp16 import convert_to_fp16

        onnx.save(convert_to_fp16(onnx.load(source)), folder / "model.onnx")

    return bench.prepared("ours-fp16", _key(), make) / "model.onnx"


def _of_bundle(bundle: Path, precision: str) -> Path:
    """The bundle's own export of this precision."""
    from serving.exported import FILES

    file = bundle / "onnx" / FILES[precision]
    if not file.is_file():
        raise UnavailableError(f"the bundle has no {precision} export: run `python -m serving.export {bundle}`")
    return file


def _key() -> str:
    return f"{versions_key(*_MAKERS)}-{sources_key(_ROOT / 'shared' / 'modeling', _ROOT / 'serving')}"


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
        return {"fp32": export_fp32(bench).stat().st_size, "int8": quantise_ours(bench).stat().st_size}
    except UnavailableError:
        return {}
