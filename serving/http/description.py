"""What `GET /model` tells: labels, policies, metrics, verification, limits and versions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serving.engine.engine import Live
from serving.engine.settings import Settings
from shared.labels import taxonomies_for

PACKAGES = ("bentoml", "numpy", "onnxruntime-gpu", "onnxruntime", "tokenizers")


def describe_model(live: Live, settings: Settings) -> dict[str, Any]:
    """The bundle in service, as JSON."""
    bundle, model = live.bundle, live.model
    manifest, policies = bundle.manifest, bundle.policies
    return {
        "seal": bundle.seal,
        "labels": list(manifest.labels),
        "task": manifest.task,
        "taxonomies": {
            name: {group: list(members) for group, members in taxonomy.groups.items()}
            for name, taxonomy in taxonomies_for(bundle.label_set).items()
        },
        "policies": {
            name: dict(zip(policies.labels, (float(value) for value in thresholds), strict=True))
            for name, thresholds in policies.values.items()
        },
        "default_policy": policies.default,
        "thresholds_fitted_on": policies.fitted_on,
        "calibration": {"method": bundle.calibration.method, "fitted_on": bundle.calibration.fitted_on},
        "max_length": manifest.max_length,
        "head_tokens": manifest.head_tokens,
        "precision": model.precision,
        "provider": model.provider,
        "metrics": bundle.metrics(),
        "verification": (bundle.verification() or {}).get("precisions", {}).get(model.precision),
        "limits": {
            "max_texts": settings.max_texts,
            "max_characters": settings.max_characters,
            "max_body_bytes": settings.max_body_bytes,
            "deadline_ms": settings.deadline_ms,
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Installed versions of what answers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
