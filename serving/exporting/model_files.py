"""ONNX models on disk: one file where the format allows, and a working copy whose weights lie beside the graph."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model

from serving.exported import data_file

MAX_FILE_BYTES = 1_900_000_000
"""Protocol buffers end at 2 GiB; larger models keep their weights in a file beside the graph."""

GRAPH = "graph.onnx"
WEIGHTS = "weights.bin"
INLINE_BYTES = 1024


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
    if model.ByteSize() <= MAX_FILE_BYTES:
        onnx.save_model(model, path)
        return
    onnx.save_model(model, path, save_as_external_data=True, location=data_file(path).name, size_threshold=INLINE_BYTES)
