"""Multi-label emotion classifiers: load, predict, evaluate, train, export, publish and ask a service, from one import.

```python
import emotion_classifiers as ec

model = ec.load("runs/latest/bundle")
model.predict(["I finally got the job!"])[0].labels
```

Nothing is loaded before it is used: the import takes milliseconds, `load` needs no torch, and `train` and `export`
load it when they are called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion_classifiers.bulk import score_dataset as score_dataset
    from emotion_classifiers.bulk import score_files as score_files
    from emotion_classifiers.bundles import Bundle as Bundle
    from emotion_classifiers.bundles import export as export
    from emotion_classifiers.bundles import train as train
    from emotion_classifiers.client import AsyncClient as AsyncClient
    from emotion_classifiers.client import Client as Client
    from emotion_classifiers.conversation import Conversation as Conversation
    from emotion_classifiers.hub import push_to_hub as push_to_hub
    from emotion_classifiers.metrics import IntensityMetrics as IntensityMetrics
    from emotion_classifiers.metrics import Metrics as Metrics
    from emotion_classifiers.model import Model as Model
    from emotion_classifiers.model import load as load
    from emotion_classifiers.prediction import Intensity as Intensity
    from emotion_classifiers.prediction import LabelScore as LabelScore
    from emotion_classifiers.prediction import Prediction as Prediction
    from shared import errors as errors
    from shared.errors import EmotionError as EmotionError

__version__ = "0.2.0"

_HOME = {
    "Bundle": "emotion_classifiers.bundles",
    "train": "emotion_classifiers.bundles",
    "export": "emotion_classifiers.bundles",
    "Client": "emotion_classifiers.client",
    "AsyncClient": "emotion_classifiers.client",
    "Conversation": "emotion_classifiers.conversation",
    "push_to_hub": "emotion_classifiers.hub",
    "Metrics": "emotion_classifiers.metrics",
    "IntensityMetrics": "emotion_classifiers.metrics",
    "Model": "emotion_classifiers.model",
    "load": "emotion_classifiers.model",
    "score_files": "emotion_classifiers.bulk",
    "score_dataset": "emotion_classifiers.bulk",
    "LabelScore": "emotion_classifiers.prediction",
    "Intensity": "emotion_classifiers.prediction",
    "Prediction": "emotion_classifiers.prediction",
    "EmotionError": "shared.errors",
}
"""Public name -> the module that defines it."""

__all__ = ["__version__", "errors", *_HOME]  # noqa: PLE0604  (the names are strings)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name == "errors":
        value: Any = importlib.import_module("shared.errors")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'emotion_classifiers' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
