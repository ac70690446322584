"""The child bundle: the parent's files, linked where that is possible, with decisions of its own and a new seal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shared.aggregation import FILE as AGGREGATION
from shared.bundle import VERIFICATION, Bundle, seal
from shared.environment import package_versions, source_revision
from shared.errors import ConfigError
from shared.files import read_json, replacing_folder, write_json
from shared.metrics import evaluate, probability_metrics
from shared.profiles import FOLDER, DriftReference, Profile, check_name
from training.adapting.adapt import Adapted, Estimate, Evidence, Parent

CHANGED_FILES = ("calibration.json", "thresholds.json", AGGREGATION, "metrics.json", "README.md", "report.html")
"""Files of the parent that say how it decides, or how well; thresholds for whole texts are fitted in training alone."""

ADAPTED = "adapted"
"""In metrics.json: the labelled rows, by nested cross-validation."""


def parent_of(bundle: Bundle) -> Parent:
    """What adapting needs to know of a bundle."""
    rows = bundle.reference()
    return Parent(
        bundle.calibration, bundle.policies, rows.logits.astype(np.float64), rows.labels.astype(bool), rows.known
    )


def write_child(
    bundle: Bundle,
    target: Path,
    adapted: Adapted,
    evidence: Evidence,
    *,
    estimate: Estimate | None,
    origin: Mapping[str, Any],
    profile: str | None = None,
    drift: DriftReference | None = None,
) -> Bundle:
    """Seal a child of `bundle` in the folder `target`, whole or not at all.

    The parent's verification is carried over: weights and ONNX files are the same, by their sha256.

    Args:
        bundle: the parent, checked.
        target: must not be there yet.
        adapted: the child's decisions.
        evidence: what they were fitted on.
        estimate: on the labelled rows, where there are any.
        origin: where the evidence came from, for the provenance.
        profile: name under which the decisions stand beside the parent's own, which stay; in place of those when None.
        drift: the texts of the profile, for its drift.

    Raises:
        ConfigError: when something is at `target`, or no profile may have this name.
    """
    if profile is not None:
        check_name(profile)
    if target.exists():
        raise ConfigError(f"{target} is there already.", hint="Give another --output, or remove it.")
    adapted = replace(adapted, calibration=_with_fit(bundle, adapted, evidence))
    provenance = _provenance(bundle, adapted, estimate, origin)
    with replacing_folder(target) as folder:
        if profile is None:
            _link_all(bundle, folder, without=CHANGED_FILES)
            adapted.calibration.write(folder / "calibration.json")
            adapted.policies.write(folder / "thresholds.json")
            write_json(folder / "metrics.json", _metrics(bundle, adapted, estimate))
            (folder / "README.md").write_text(_card(bundle, adapted, estimate), encoding="utf-8")
        else:
            _link_all(bundle, folder, without=[name for name in bundle.manifest.files if _is_of(name, profile)])
            about = {**provenance["adapted"], **_estimated(estimate)}
            Profile(adapted.calibration, adapted.policies, about, drift).write(folder / FOLDER / profile)
        manifest = bundle.manifest
        child = seal(
            folder, labels=manifest.labels, task=manifest.task, pooling=manifest.pooling,
            max_length=manifest.max_length, head_tokens=manifest.head_tokens, normalisation=manifest.normalisation,
            provenance=provenance,
        )  # fmt: skip
        _carry_verification(bundle, child)
    return Bundle.read(target)


def _link_all(bundle: Bundle, folder: Path, *, without: Collection[str]) -> None:
    for name in bundle.manifest.files:
        if name not in without:
            _link(bundle.path / name, folder / name)


def _is_of(name: str, profile: str) -> bool:
    return name.startswith(f"{FOLDER}/{profile}/")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _carry_verification(parent: Bundle, child: Bundle) -> None:
    """The parent's exported models and their verification, under the child's seal."""
    if parent.verification() is None:
        return
    for file in sorted(parent.onnx_dir.iterdir()):
        if file.is_file() and file.name != VERIFICATION:
            _link(file, child.onnx_dir / file.name)
    report = read_json(parent.onnx_dir / VERIFICATION)
    write_json(child.onnx_dir / VERIFICATION, {**report, "bundle_seal": child.seal, "carried_over_from": parent.seal})


def _with_fit(bundle: Bundle, adapted: Adapted, evidence: Evidence) -> Any:
    """The calibration with its metrics on the labelled rows, before and after."""
    if adapted.calibration is bundle.calibration or not evidence.known.any():
        return adapted.calibration
    before, after = (
        probability_metrics(evidence.truth, found.apply(evidence.logits), evidence.known)
        for found in (bundle.calibration, adapted.calibration)
    )
    return replace(adapted.calibration, before=before, after=after)


def _metrics(bundle: Bundle, adapted: Adapted, estimate: Estimate | None) -> dict[str, Any]:
    """Of the child on the parent's reference rows; and on the labelled rows, beside the parent."""
    rows = bundle.reference()
    found = {
        rows.split: evaluate(
            rows.labels, adapted.calibration.apply(rows.logits), adapted.decisions(rows.logits.astype(np.float64)),
            bundle.manifest.labels, rows.known,
        )
    }  # fmt: skip
    return {**found, **_estimated(estimate)}


def _estimated(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {}
    intervals = {"macro_f1": list(estimate.macro_f1["adapted"][1:])}
    return {ADAPTED: {**estimate.adapted, "intervals": intervals}, f"{ADAPTED}_parent": dict(estimate.parent)}


def _provenance(
    bundle: Bundle, adapted: Adapted, estimate: Estimate | None, origin: Mapping[str, Any]
) -> dict[str, Any]:
    own = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "source_revision": source_revision(),
        "versions": package_versions(("numpy", "scipy")),
        "fitted_on": adapted.policies.fitted_on,
        "kept_parent": adapted.kept,
        "notes": list(adapted.notes),
        **({"macro_f1": {name: list(values) for name, values in estimate.macro_f1.items()}} if estimate else {}),
        **origin,
    }
    return {**bundle.manifest.provenance, "parent": bundle.seal, "adapted": own}


def _card(bundle: Bundle, adapted: Adapted, estimate: Estimate | None) -> str:
    lines = [
        "# An adapted emotion classifier",
        f"Weights and exported models are those of the bundle with the seal `{bundle.seal}`; calibration and decision "
        f"thresholds are {adapted.policies.fitted_on}.",
        *adapted.notes,
    ]
    if estimate is not None:
        lines.append(described(estimate))
    return "\n\n".join(lines) + "\n"


def described(estimate: Estimate) -> str:
    """The estimate as a table in Markdown."""
    rows = []
    for name, (value, low, high) in estimate.macro_f1.items():
        others = [_of(estimate, name, metric) for metric in ("micro_f1", "nll")]
        rows.append(f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} | {' | '.join(others)} |")
    return "\n".join(["| | macro F1 | 95 % interval | micro F1 | NLL |", "|---|---|---|---|---|", *rows])


def _of(estimate: Estimate, name: str, metric: str) -> str:
    values = {"adapted": estimate.adapted[metric], "parent": estimate.parent[metric]}
    return f"{values.get(name, values['adapted'] - values['parent']):.3f}"
