"""All parts of an audit of one bundle, their report and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, PackageLoader
from numpy.typing import NDArray

from shared.bundle import Bundle
from shared.errors import ConfigError
from shared.files import write_json
from shared.task import require_labels
from training.audit.behaviour import check_behaviour
from training.audit.eec import read_eec
from training.audit.fairness import SIGNIFICANCE, TOLERATED_GAP, counterfactual_gaps, group_metrics
from training.audit.identities import variants
from training.audit.robustness import measure_robustness
from training.config.evaluate import AuditOptions
from training.evaluation.inference import LogitsOf, trained_logits
from training.evaluation.measures import Predictions
from training.evaluation.own_data import rows_to_score
from training.evaluation.report import environment
from training.evaluation.results_folder import results_folder, written_into

NO_GROUP = "(none)"
"""Where the cell of a row's group is empty."""

MITIGATIONS: Mapping[str, str] = {
    "counterfactual_augmentation": "Train with --augment.methods [counterfactual] --augment.below 1000000, which "
    "adds a copy of each training row that names a person, with another person in it and the same labels. Then "
    "measure: audit both bundles, and compare them with emotion compare.",
}


def audit_bundle(path: Path, options: AuditOptions, *, logits: LogitsOf | None = None) -> dict[str, Any]:
    """Fairness, behaviour and robustness of a bundle, ready for JSON.

    Args:
        path: folder of the bundle.
        options: what to look at, and where to write.
        logits: of the model; the trained one, in torch, when None.

    Raises:
        BundleError: when the bundle cannot be used.
        ConfigError: for a mitigation that is refused, or a group column or other data keys without a table.
        DataError: when a table or the Equity Evaluation Corpus cannot be used.
    """
    _check_mitigation(options.mitigation)
    if (options.data.group_column is None) != (options.data.path is None):
        raise ConfigError(
            f"data.group_column is {options.data.group_column} and data.path {options.data.path}; group metrics need "
            "both: a table with labels, and the name of its column of groups."
        )
    options.data.check_path("Name a table and its column of groups, or leave it out.")
    target = results_folder(options.output)
    bundle = Bundle.read(path)
    require_labels(bundle.task, "emotion audit")
    logits = logits or trained_logits(bundle, batch_size=options.batch_size, threads=options.threads)

    def answer(texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        probabilities = bundle.calibration.apply(logits(texts))
        return probabilities, bundle.policies.decide(probabilities)

    sentences = variants(options.sentences, options.seed)
    if options.eec:
        sentences = [*sentences, *read_eec(Path(options.eec))]
    labels = bundle.label_set.names
    texts = list(dict.fromkeys(variant.text for variant in sentences))
    place = {text: row for row, text in enumerate(texts)}
    probabilities, decisions = answer(texts)
    order = [place[variant.text] for variant in sentences]
    gaps = counterfactual_gaps(sentences, probabilities[order], decisions[order], labels)
    result: dict[str, Any] = {
        "bundle": str(bundle.path), "seal": bundle.seal, "policy": bundle.policies.default,
        "tolerated_gap": TOLERATED_GAP, "significance": SIGNIFICANCE, "sentences": len(sentences),
        "fairness": gaps, "flagged": [f"{name}: {row}" for name, found in gaps.items() for row in found["flagged"]],
        "groups": _groups(bundle, options, answer) if options.data.group_column else None,
        "behaviour": check_behaviour(answer, labels),
        "robustness": _robustness(bundle, options, answer),
        "mitigation": MITIGATIONS.get(options.mitigation or ""),
    }  # fmt: skip
    if target is not None:
        with written_into(target) as folder:
            write_json(folder / "audit.json", result)
            (folder / "report.html").write_text(render_audit(result), encoding="utf-8")
    return result


def _check_mitigation(name: str | None) -> None:
    if name == "per_group_thresholds":
        raise ConfigError(
            "mitigation per_group_thresholds is refused: a text would be judged by who its writer is taken to be; that "
            "the service is not told, must not guess, and may not use in many places.",
            hint=f"Allowed: {', '.join(MITIGATIONS)}.",
        )


def _groups(bundle: Bundle, options: AuditOptions, answer: Any) -> dict[str, Any]:
    """Metrics by the groups of a table's column."""
    config = options.data
    data = rows_to_score([bundle], config, config.split, bundle.label_set, context=bundle.manifest.context)
    rows = data.rows
    probabilities, decisions = answer(rows.texts)
    groups = [group or NO_GROUP for group in rows.groups or ()]
    found = group_metrics(
        Predictions(rows.hard_targets, rows.known, probabilities, decisions), groups, bundle.label_set.names
    )  # fmt: skip
    return {"column": config.group_column, "split": data.split, "notes": list(data.notes), **found}


def _robustness(bundle: Bundle, options: AuditOptions, answer: Any) -> list[dict[str, Any]]:
    """On some of the reference rows, drawn at random."""
    reference = bundle.reference()
    count = min(options.robustness_rows, len(reference.texts))
    rows = np.sort(np.random.default_rng(options.seed).choice(len(reference.texts), count, replace=False))
    texts = [reference.texts[row] for row in rows]
    truth = reference.labels[rows].astype(np.bool_)
    return measure_robustness(answer, texts, truth, reference.known[rows], seed=options.seed)


def render_audit(result: Mapping[str, Any]) -> str:
    """The audit as one HTML page."""
    folders = ChoiceLoader([PackageLoader("training.audit"), PackageLoader("training.evaluation")])
    pages = environment().overlay(loader=folders)
    return pages.get_template("audit.html.j2").render(result=result)
