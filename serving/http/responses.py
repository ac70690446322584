"""What the service answers: decided labels of a text, the description of the model, and errors in their one schema."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serving.batching.jobs import Row
from serving.http.response_schemas import DIGITS
from serving.http.schemas import PredictRequest
from serving.telemetry.drift import NONE_NEAR, mean_index, nearest_profile
from serving.text_checks import recorded_languages
from shared.aggregation import aggregate
from shared.bundle import Bundle
from shared.environment import package_versions
from shared.errors import InvalidInputError, OverloadedError, RequestError
from shared.intensity import Readout
from shared.labels import Taxonomy, group_decisions, taxonomies_for
from shared.profiles import DEFAULT
from shared.thresholds import ARGMAX, decide

if TYPE_CHECKING:  # an answer is made without a service too
    from serving.engine import ActiveModel
    from serving.settings import Settings

PACKAGES = ("bentoml", "numpy", "onnxruntime-gpu", "onnxruntime", "tokenizers", "emoji")
"""Installed packages that answers depend on."""


NO_CONTEXT = "context: this bundle was trained without previous turns, and would not read them."
NO_CONTEXT_HINT = "Leave context out, or train with: --data.context_turns 3"


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """How one request wants its texts decided.

    Attributes:
        policy: name of the policy.
        taxonomy: its groups are the labels of the answer.
        thresholds: one for each of the model's L labels, shape (L,).
        argmax: whether the most probable label alone is decided.
        top_k: list the k most probable labels in place of the decided ones.
        probabilities: add every label's probability.
        text_thresholds: for texts that are put together from segments, shape (L,).
    """

    policy: str
    taxonomy: Taxonomy
    thresholds: NDArray[np.float64]
    argmax: bool
    top_k: int | None
    probabilities: bool
    text_thresholds: NDArray[np.float64]


def rules_for(request: PredictRequest, bundle: Bundle) -> DecisionRules:
    """The rules a request asks for, checked against the bundle.

    Raises:
        InvalidInputError: for a policy, taxonomy or label the bundle does not have, or for previous turns where it was
            trained without; it repeats nothing from the client.
    """
    policies, taxonomies = bundle.policies, taxonomies_for(bundle.label_set)
    policy = policies.default if request.policy is None else request.policy
    if policy not in policies.values:
        raise InvalidInputError("policy: unknown for this bundle.", hint=f"Allowed: {', '.join(policies.values)}.")
    taxonomy = next(iter(taxonomies)) if request.taxonomy is None else request.taxonomy
    if taxonomy not in taxonomies:
        raise InvalidInputError("taxonomy: unknown for these labels.", hint=f"Allowed: {', '.join(taxonomies)}.")
    if bundle.manifest.context is None and any(request.contexts):
        raise InvalidInputError(NO_CONTEXT, hint=NO_CONTEXT_HINT)
    thresholds, of_texts = policies.values[policy], bundle.aggregation.thresholds(policy, policies)
    if request.thresholds:
        labels = bundle.manifest.labels
        thresholds, of_texts = (_overridden(each, request.thresholds, labels) for each in (thresholds, of_texts))
    return DecisionRules(
        policy, taxonomies[taxonomy], thresholds, policy == ARGMAX, request.top_k, request.probabilities, of_texts
    )


def _overridden(
    thresholds: NDArray[np.float64], changes: Mapping[str, float], labels: Sequence[str]
) -> NDArray[np.float64]:
    changed = thresholds.copy()
    for name, value in changes.items():
        if name not in labels:
            near = difflib.get_close_matches(name[:50], labels, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Allowed: {', '.join(labels)}."
            raise InvalidInputError("thresholds: the model has no such label.", hint=hint)
        changed[labels.index(name)] = value
    return changed


def read_by_profile(row: Row, served: Bundle, profile: Bundle) -> Row:
    """The model's answer for one text as a profile of the bundle in service calibrates it, window by window."""
    if profile is served and not row.windows:
        return row
    windows = np.stack(row.windows or (row.probabilities,))
    if profile is not served:
        windows = profile.calibration.apply(served.calibration.logits(windows))
    return replace(row, probabilities=aggregate(windows, "max", profile.calibration.activation))


def result(row: Row, rules: DecisionRules, bundle: Bundle) -> dict[str, Any]:
    """The answer for one text that was read in one piece, a `TextResult`."""
    return {**labels_of(row.probabilities, rules, bundle), **facts_of(row)}


def facts_of(row: Row) -> dict[str, Any]:
    """What a result says of a text beside its labels."""
    return {
        "truncated": row.truncated,
        "num_tokens": row.num_tokens,
        "coverage": round(row.coverage, DIGITS),
        "warnings": list(row.warnings),
    }


def labels_of(probabilities: NDArray[np.float64], rules: DecisionRules, bundle: Bundle) -> dict[str, Any]:
    """What a result says of the labels of a text or segment with these probabilities, shape (L,)."""
    names, probabilities, thresholds = grouped(probabilities, rules, bundle)
    decided = decide(probabilities, thresholds, argmax=rules.argmax)
    ranked = np.argsort(-probabilities, kind="stable")
    shown = ranked[decided[ranked]] if rules.top_k is None else ranked[: rules.top_k]
    scores = [
        {
            "label": names[i],
            "probability": round(float(probabilities[i]), DIGITS),
            "threshold": round(float(thresholds[i]), DIGITS),
            "decided": bool(decided[i]),
        }
        for i in shown
    ]
    answer: dict[str, Any] = {"labels": scores}
    if not decided.any():
        answer["probably"] = {
            "label": names[ranked[0]],
            "probability": round(float(probabilities[ranked[0]]), DIGITS),
            "threshold": round(float(thresholds[ranked[0]]), DIGITS),
            "distance": round(float(thresholds[ranked[0]] - probabilities[ranked[0]]), DIGITS),
        }
    if rules.probabilities:
        answer["probabilities"] = {
            name: round(float(value), DIGITS) for name, value in zip(names, probabilities, strict=True)
        }
    return answer


def grouped(
    probabilities: NDArray[np.float64], rules: DecisionRules, bundle: Bundle
) -> tuple[Sequence[str], NDArray[np.float64], NDArray[np.float64]]:
    """Names, probabilities and thresholds in the taxonomy asked for."""
    names = tuple(rules.taxonomy.groups)
    if names == bundle.manifest.labels:
        return names, probabilities, rules.thresholds
    p, t = group_decisions(probabilities[None], rules.thresholds, bundle.label_set, rules.taxonomy)
    return names, p[0], t[0]


def error_body(error: RequestError) -> dict[str, str]:
    """An error in the one schema, an `ErrorBody`."""
    return {"error": error.error, "error_type": type(error).__name__, "detail": str(error)}


def error_response(error: RequestError) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and extra headers of a rejection or failure."""
    extra = {"retry-after": str(max(1, round(error.retry_after_s)))} if isinstance(error, OverloadedError) else {}
    if error.status == 401:
        extra["www-authenticate"] = "Bearer"
    return error.status, json.dumps(error_body(error)).encode(), extra


def describe_model(active: ActiveModel, settings: Settings) -> dict[str, Any]:
    """The bundle in service, as JSON."""
    bundle = active.bundle
    manifest, policies = bundle.manifest, bundle.policies
    if bundle.readout is not None:
        return _described_intensities(active, settings, bundle.readout)
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
        "profiles": {name: _described(bundle, name) for name in bundle.profile_names},
        "default_profile": DEFAULT,
        "languages": recorded_languages(bundle),
        "drift": _drift(active),
        "thresholds_fitted_on": policies.fitted_on,
        "calibration": {"method": bundle.calibration.method, "fitted_on": bundle.calibration.fitted_on},
        **_described_model(active, settings),
    }


def _described_intensities(active: ActiveModel, settings: Settings, readout: Readout) -> dict[str, Any]:
    """A bundle of intensities in service, as JSON; it has no policies and no taxonomies."""
    bundle = active.bundle
    widths = [None if np.isinf(width) else float(width) for width in readout.half_widths]
    return {
        "seal": bundle.seal,
        "labels": list(bundle.manifest.labels),
        "task": bundle.manifest.task,
        "scale": readout.scale.to_json(),
        "intervals": {
            "level": readout.interval_level,
            "method": readout.method,
            "fitted_on": readout.fitted_on,
            "half_widths": dict(zip(readout.labels, widths, strict=True)),
        },
        "taxonomies": {}, "policies": {}, "default_policy": None, "context": None,
        "profiles": {}, "default_profile": DEFAULT,
        "drift": _drift(active),
        **_described_model(active, settings),
    }  # fmt: skip


def _described_model(active: ActiveModel, settings: Settings) -> dict[str, Any]:
    """What is said of a model whatever it answers."""
    bundle, model = active.bundle, active.model
    manifest = bundle.manifest
    return {
        "max_length": manifest.max_length,
        "head_tokens": manifest.head_tokens,
        "normalisation": manifest.normalisation,
        "context": None if manifest.context is None else manifest.context.to_json(),
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
        "versions": package_versions(PACKAGES),
    }


def _described(bundle: Bundle, name: str) -> dict[str, Any]:
    """A profile, as JSON."""
    policies = bundle.with_profile(name).policies
    return {
        "policies": list(policies.values),
        "default_policy": policies.default,
        "fitted_on": policies.fitted_on,
        "about": {} if name == DEFAULT else dict(bundle.profiles[name].about),
    }


def _drift(active: ActiveModel) -> dict[str, Any] | None:
    """Which profile the texts of late are nearest to; None before there are enough."""
    indices = active.drift.indices_by_profile()
    if not indices:
        return None
    nearest = nearest_profile(indices)
    advice = "These texts are near to no profile: adapt the bundle to them (emotion adapt)."
    return {
        "nearest_profile": None if nearest == NONE_NEAR else nearest,
        "psi": {name: round(mean_index(found), DIGITS) for name, found in indices.items()},
        "advice": advice if nearest == NONE_NEAR else None,
    }
