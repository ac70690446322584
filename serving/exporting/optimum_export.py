"""Export through optimum: for every architecture that has no graph of its own here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from shared.errors import ExportError

MIN_OPSET = 17
"""The first with `LayerNormalization`."""

INPUTS = ("input_ids", "attention_mask")
TASK = "text-classification"


def export_with_optimum(classifier: Any, path: Path, *, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """A classifier as a model with inputs input_ids and attention_mask and output logits.

    Args:
        classifier: any classifier of `transformers`, or one with mean pooling, in evaluation mode.
        path: a file to use on the way.
        metadata: text properties to store in the model.

    Raises:
        ExportError: when optimum is not installed or cannot export the architecture.
    """
    try:
        from optimum.exporters.onnx import export  # noqa: PLC0415  (optional, and slow to import)
        from optimum.exporters.tasks import TasksManager  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            f"exporting a {classifier.config.model_type} model needs optimum, which cannot be imported: {error}.",
            hint="Install it with: pip install 'emotion-classifiers[export]'",
        ) from error
    try:
        with _quiet():
            options = _two_inputs(TasksManager, classifier.config)
            export(classifier, options, path, opset=max(MIN_OPSET, options.DEFAULT_ONNX_OPSET), device="cpu")
    except Exception as error:  # whatever optimum, torch or the model raise, the export failed
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"optimum could not export the {classifier.config.model_type} model: {reason}.") from error
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(metadata))
    return model


def _two_inputs(tasks: Any, config: Any) -> Any:
    """Optimum's export options for an architecture, without token types: a text is one segment."""
    constructor = tasks.get_exporter_config_constructor(
        "onnx", model_type=config.model_type, task=TASK, library_name="transformers"
    )

    class TwoInputs(constructor.func):  # type: ignore[misc, name-defined]
        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return {name: axes for name, axes in super().inputs.items() if name in INPUTS}

    return TwoInputs(config, task=TASK)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the many warnings of tracing, none of which concerns the user: the export is verified afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
