"""Whether an encoder can be exported, known from its configuration, before anything is trained."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from shared.errors import PreflightError
from shared.modeling.encoders import TESTED

log = logging.getLogger("training")

UNUSABLE_EXPORTS = {"longformer": "the graph that optimum makes of it takes texts of one length alone"}
HINT = "docs/training.md lists the encoders that are tested."


def check_export(config: Any) -> str:
    """Whether a classifier on this encoder can be exported; a warning in the log when it is none of the tested ones.

    Args:
        config: of the encoder.

    Raises:
        PreflightError: when it cannot be exported.
    """
    kind = config.model_type
    if kind not in TESTED:
        log.warning("%s is not among the encoders that are tested from training to a verified export. %s", kind, HINT)
    if kind == "deberta-v2":
        return "deberta-v2 is exported by a writer of its own"
    if kind in UNUSABLE_EXPORTS:
        raise PreflightError(f"{kind} models cannot be exported: {UNUSABLE_EXPORTS[kind]}.", hint=HINT)
    if importlib.util.find_spec("optimum") is None or importlib.util.find_spec("optimum.exporters.onnx") is None:
        return f"not checked for {kind}: optimum, which exports it, is not installed here"
    from optimum.exporters.onnx import model_configs  # noqa: F401, PLC0415  (registers what it exports; slow to import)
    from optimum.exporters.tasks import TasksManager  # noqa: PLC0415

    try:
        tasks = TasksManager.get_supported_tasks_for_model_type(kind, exporter="onnx", library_name="transformers")
    except KeyError:
        tasks = {}
    if "text-classification" not in tasks:
        raise PreflightError(f"{kind} models cannot be exported: optimum does not know them.", hint=HINT)
    return f"{kind} is exported by optimum"
