"""The child bundle: the parent's files, linked where that is possible, with decisions of its own and a new seal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.aggregation import FILE as AGGREGATION
from shared.bundle import REFERENCE, VERIFICATION, Bundle, seal
from shared.environment import package_versions, source_revision
from shared.errors import ConfigError, ModelError
from shared.files import link_or_copy, read_json, replacing_folder, write_json
from shared.metrics import evaluate, probability_metrics
from shared.profiles import FOLDER, LANGUAGE, DriftReference, Profile, check_name
from shared.reference import Reference
from shared.weights import INDEX, LAYER_WEIGHTS, SHARED_WEIGHTS
from training.adapting.adapt import Adapted, Estimate, Evidence, Parent

CHANGED_FILES = ("calibration.json", "thresholds.json", AGGREGATION, "metrics.json", "README.md", "report.html")
"""Files of the parent that say how it decides, or how well; thresholds for whole texts are fitted in training alone."""

MODEL_SUFFIXES = (".onnx", ".data", ".npz")

ADAPTED = "adapted"
"""In metrics.json: the labelled rows, by nested cross-validation."""


@dataclass(frozen=True)
class NewLayer:
    """The last layer of a child that has one of its own.

    Attributes:
        before: weight, shape (D, L), and bias, shape (L,), of the parent's.
        after: the same of the child's.
        reference_logits: of the child on the reference rows, in fp32, shape (N, L).
    """

    before: tuple[NDArray[np.float32], NDArray[np.float32]]
    after: tuple[NDArray[np.float32], NDArray[np.float32]]
    reference_logits: NDArray[np.float32]


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
    layer: NewLayer | None = None,
    export: Callable[[Bundle], object] | None = None,
    trained_from: str | None = None,
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
        layer: the last layer, where it changes; then there are no profiles, as they are of the parent's network.
        export: writes and verifies the models of the sealed child, where they change.
        trained_from: seal of the parent, where `bundle` was trained from it.

    Raises:
        ConfigError: when something is at `target`, or no profile may have this name.
        ModelError: when the weights do not hold the last layer that the parent's exported model has.
    """
    if profile is not None:
        check_name(profile)
    check_target(target)
    adapted = replace(adapted, calibration=_with_fit(bundle, adapted, evidence))
    provenance = _provenance(bundle, adapted, estimate, origin, trained_from)
    with replacing_folder(target) as folder:
        if profile is None:
            _link_all(bundle, folder, without=_changed_files(bundle, adapted, layer))
            if layer is not None:
                _write_layer(bundle, folder, layer)
            adapted.calibration.write(folder / "calibration.json")
            adapted.policies.write(folder / "thresholds.json")
            write_json(folder / "metrics.json", _metrics(bundle, folder, adapted, estimate))
            (folder / "README.md").write_text(_card(bundle, adapted, estimate, trained_from), encoding="utf-8")
        else:
            _link_all(bundle, folder, without=[name for name in bundle.manifest.files if _is_of(name, profile)])
            about = {**provenance["adapted"], **_estimated(estimate), **_language_of(bundle, profile)}
            Profile(adapted.calibration, adapted.policies, about, drift).write(folder / FOLDER / profile)
        manifest = bundle.manifest
        child = seal(
            folder, labels=manifest.labels, task=manifest.task, pooling=manifest.pooling,
            max_length=manifest.max_length, head_tokens=manifest.head_tokens, normalisation=manifest.normalisation,
            provenance=provenance, context=manifest.context, specials_as_text=manifest.specials_as_text,
        )  # fmt: skip
        if export is None:
            _carry_verification(bundle, child)
        else:
            export(child)
    return Bundle.read(target)


def check_target(target: Path) -> None:
    """Refuse a folder that no child can be written to.

    Raises:
        ConfigError: when something is there.
    """
    if target.exists():
        raise ConfigError(f"{target} is there already.", hint="Give another --output, or remove it.")


def _link_all(bundle: Bundle, folder: Path, *, without: Collection[str]) -> None:
    for name in bundle.manifest.files:
        if name not in without:
            link_or_copy(bundle.path / name, folder / name)


def _changed_files(bundle: Bundle, adapted: Adapted, layer: NewLayer | None) -> list[str]:
    """Files of the parent that the child does not take over."""
    decides_alike = adapted.policies is bundle.policies
    changed = [name for name in CHANGED_FILES if not (decides_alike and name == AGGREGATION)]
    if layer is None:
        return changed
    of_profiles = [name for name in bundle.manifest.files if name.startswith(f"{FOLDER}/")]
    return [*changed, REFERENCE, INDEX, *bundle.weights_files, *of_profiles]


def _write_layer(bundle: Bundle, folder: Path, layer: NewLayer) -> None:
    """The parent's weights with another last layer in a file of its own, and what the reference rows are to it."""
    from safetensors import safe_open  # noqa: PLC0415  (only this level needs it)
    from safetensors.numpy import save_file  # noqa: PLC0415

    link_or_copy(bundle.path / bundle.weights_files[0], folder / SHARED_WEIGHTS)
    pairs = [(layer.before[0].T, layer.after[0].T), (layer.before[1], layer.after[1])]
    tensors: dict[str, NDArray[Any]] = {}
    names: set[str] = set()
    for file in bundle.weights_files:
        with safe_open(bundle.path / file, "np") as stored:
            for name in stored.keys():  # noqa: SIM118  (no mapping)
                names.add(name)
                if tuple(stored.get_slice(name).get_shape()) in {before.shape for before, _ in pairs}:
                    tensors[name] = stored.get_tensor(name)
    own = {}
    for before, after in pairs:
        found = [name for name, value in tensors.items() if value.shape == before.shape and np.allclose(value, before)]
        if len(found) != 1:
            raise ModelError(
                f"the weights of {bundle.path} have {len(found)} tensors like the last layer of its exported model.",
                hint="Use the level full.",
            )
        own[found[0]] = np.ascontiguousarray(after, tensors[found[0]].dtype)
    save_file(own, folder / LAYER_WEIGHTS, metadata={"format": "pt"})
    (folder / LAYER_WEIGHTS).chmod(0o644)
    size = sum((folder / name).stat().st_size for name in (SHARED_WEIGHTS, LAYER_WEIGHTS))
    places = {name: LAYER_WEIGHTS if name in own else SHARED_WEIGHTS for name in sorted(names)}
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": places})
    replace(bundle.reference(), logits=layer.reference_logits).write(folder / REFERENCE)


def _language_of(bundle: Bundle, profile: str) -> dict[str, Any]:
    """What the profile of this name decides in the parent: texts in a language go on being decided by it."""
    former = bundle.profiles.get(profile)
    return {} if former is None or LANGUAGE not in former.about else {LANGUAGE: former.about[LANGUAGE]}


def _is_of(name: str, profile: str) -> bool:
    return name.startswith(f"{FOLDER}/{profile}/")


def _carry_verification(parent: Bundle, child: Bundle) -> None:
    """The parent's exported models and their verification, under the child's seal."""
    if parent.verification() is None:
        return
    for file in sorted(parent.onnx_dir.iterdir()):
        if file.suffix in MODEL_SUFFIXES:  # a signature is of the parent
            link_or_copy(file, child.onnx_dir / file.name)
    report = read_json(parent.onnx_dir / VERIFICATION)
    write_json(child.onnx_dir / VERIFICATION, {**report, "bundle_seal": child.seal, "carried_over_from": parent.seal})


def _with_fit(bundle: Bundle, adapted: Adapted, evidence: Evidence) -> Any:
    """The calibration with its metrics on the labelled rows, before and after."""
    if adapted.calibration is bundle.calibration or not evidence.known.any():
        return adapted.calibration
    before, after = (
        probability_metrics(evidence.truth, probabilities, evidence.known)
        for probabilities in (
            bundle.calibration.apply(evidence.logits), adapted.calibration.apply(adapted.logits(evidence))
        )
    )  # fmt: skip
    return replace(adapted.calibration, before=before, after=after)


def _metrics(bundle: Bundle, folder: Path, adapted: Adapted, estimate: Estimate | None) -> dict[str, Any]:
    """Of the child on the parent's reference rows; and on the labelled rows, beside the parent."""
    rows = Reference.read(folder / REFERENCE)
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
    bundle: Bundle, adapted: Adapted, estimate: Estimate | None, origin: Mapping[str, Any], trained_from: str | None
) -> dict[str, Any]:
    own = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "source_revision": source_revision(),
        "versions": package_versions(("numpy", "scipy")),
        "fitted_on": adapted.policies.fitted_on,
        "kept_parent": adapted.kept,
        "last_layer_changed": adapted.layer is not None,
        "notes": list(adapted.notes),
        **({"macro_f1": {name: list(values) for name, values in estimate.macro_f1.items()}} if estimate else {}),
        **origin,
    }
    return {**bundle.manifest.provenance, "parent": trained_from or bundle.seal, "adapted": own}


def _card(bundle: Bundle, adapted: Adapted, estimate: Estimate | None, trained_from: str | None) -> str:
    weights = f"Weights and exported models are those of the bundle with the seal `{bundle.seal}`"
    if trained_from is not None:
        weights = f"The weights were trained further from the bundle with the seal `{trained_from}`"
    elif adapted.layer is not None:
        weights += ", but for the last layer"
    lines = [
        "# An adapted emotion classifier",
        f"{weights}; calibration and decision thresholds are {adapted.policies.fitted_on}.",
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
