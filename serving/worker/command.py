"""How the process of a model is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Holds the packages that the process imports."""

MODULE = "serving.worker"
MODELS_AHEAD = "EMOTION_MODELS_AHEAD"
"""Environment variable by which the supervisor tells its processes of the model processes that it has started."""

COMMAND = (sys.executable, "-m", MODULE)

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Of processes in which numpy multiplies nothing large: making its threads takes a third of its import."""


def environment() -> dict[str, str]:
    """Of the process: its packages are those of this one."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # one thread tokenises: other processes, and the event loop, want the other cores
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": paths, "TOKENIZERS_PARALLELISM": "false"}
