"""The child of each level, and the three levels compared on the same rows."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_classifiers.adapting.inputs import Given, drift_reference, read_given
from emotion_classifiers.hub import repository_of
from serving.exported import read_reports
from serving.predictor import Predictor
from shared.bundle import Bundle
from training.adapting.adapt import Adapted, Estimate, Fit, adapt, check_evidence, estimate
from training.adapting.child import check_target, described, parent_of, write_child
from training.adapting.head import adapt_head

if TYPE_CHECKING:
    from emotion_classifiers.adapt import AdaptOptions

FITS: dict[str, Fit] = {"thresholds": adapt, "head": adapt_head}
"""Levels without torch."""

Answer = tuple[dict[str, Any], str]


def make_child(predictor: Predictor, options: AdaptOptions) -> Answer:
    """Make the child of the level that the options name; what it is as one JSON object, and in words.

    Raises:
        EmotionError: for every mistake a user can fix.
    """
    target = Path(options.output) if options.output else default_target(predictor.bundle.path)
    check_target(target)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    given = read_given(predictor, options, pooled=options.level == "head")
    check_evidence(parent_of(predictor.bundle), given.evidence)
    make = _train_child if options.level == "full" else _fit_child
    child, adapted, estimated = make(predictor, options, given, target)
    Predictor.load(child.path, precision=predictor.precision)  # as the service opens it: files, seal, logits
    content = {
        "bundle": str(child.path), "seal": child.seal, "parent": predictor.bundle.seal, "kept_parent": adapted.kept,
        "level": options.level, "profile": options.profile, "fitted_on": adapted.policies.fitted_on,
        "notes": list(adapted.notes),
        "macro_f1": None if estimated is None else {name: list(row) for name, row in estimated.macro_f1.items()},
        **_origin(predictor, options, given),
    }  # fmt: skip
    return content, _page(adapted, estimated, given, child.path)


def default_target(bundle: Path) -> Path:
    """Where a child goes: beside its parent, or in the working folder where that lies in the hub's cache."""
    repository = repository_of(bundle)
    parent = bundle.absolute() if repository is None else Path(repository)
    return parent.with_name(f"{parent.name}-adapted")


def _fit_child(
    predictor: Predictor, options: AdaptOptions, given: Given, target: Path
) -> tuple[Bundle, Adapted, Estimate | None]:
    bundle, fit = predictor.bundle, FITS[options.level]
    parent = parent_of(bundle)
    adapted = fit(parent, given.evidence, options.seed)
    adapted = replace(adapted, notes=(*given.notes, *adapted.notes, *_untouched(bundle, options, adapted)))
    estimated = None if given.corpus is None else estimate(parent, given.evidence, options.seed, fit=fit)
    changes: dict[str, Any] = {}
    if (change := adapted.layer) is not None:
        from emotion_classifiers.adapting.head import exporter, new_layer  # noqa: PLC0415  (onnx)

        adapted = _without_profiles(bundle, (), adapted)
        layer = new_layer(bundle, change, options.threads)
        changes = {"layer": layer, "export": exporter(
            bundle, layer, served=predictor.precision, threads=options.threads, say=_say)}  # fmt: skip
    child = write_child(
        bundle, target, adapted, given.evidence, estimate=estimated, origin=_origin(predictor, options, given),
        profile=options.profile, drift=drift_reference(predictor, given), **changes,
    )  # fmt: skip
    return child, adapted, estimated


def _train_child(
    predictor: Predictor, options: AdaptOptions, given: Given, target: Path
) -> tuple[Bundle, Adapted, Estimate | None]:
    from emotion_classifiers.adapting.full import (  # noqa: PLC0415  (torch)
        check_rows,
        estimate_full,
        evidence_of,
        fit_decisions,
        train_further,
    )
    from serving.export import export_bundle  # noqa: PLC0415

    assert given.corpus is not None
    bundle, threads = predictor.bundle, options.threads
    check_rows(given.evidence)
    parent, precisions = parent_of(bundle), [name for name, report in read_reports(bundle).items() if report["passed"]]
    estimated = None
    if options.folds:
        estimated = estimate_full(
            bundle, given, parent, num_folds=options.folds, seed=options.seed, threads=threads, say=_say
        )
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.absolute().parent) as folder:
        trained = train_further(bundle, given.corpus, Path(folder), seed=options.seed, threads=threads, say=_say)
        adapted = fit_decisions(parent, trained, options.seed)
        adapted = replace(adapted, notes=(*given.notes, *adapted.notes))
        adapted = _without_profiles(bundle, trained.profiles, adapted)
        child = write_child(
            trained, target, adapted, evidence_of(trained), estimate=estimated,
            origin=_origin(predictor, options, given), trained_from=bundle.seal,
            export=lambda sealed: export_bundle(sealed, precisions, threads=threads),
        )  # fmt: skip
    return child, adapted, estimated


def compare_levels(predictor: Predictor, options: AdaptOptions) -> Answer:
    """What each level brings on the labelled rows, each decided without itself; no child is made.

    Raises:
        EmotionError: as `make_child`.
    """
    from emotion_classifiers.adapting.full import check_rows, estimate_full  # noqa: PLC0415

    given = read_given(predictor, options, pooled=True)
    parent = parent_of(predictor.bundle)
    check_evidence(parent, given.evidence)
    found, seconds = {}, {}
    for level, fit in FITS.items():
        _say(f"{level} ...")
        started = time.monotonic()
        found[level] = estimate(parent, given.evidence, options.seed, fit=fit)
        seconds[level] = time.monotonic() - started
    if options.folds:
        check_rows(given.evidence)
        started = time.monotonic()
        found["full"] = estimate_full(
            predictor.bundle, given, parent, num_folds=options.folds, seed=options.seed, threads=options.threads,
            say=_say,
        )  # fmt: skip
        seconds["full"] = time.monotonic() - started
    content = {
        "levels": {
            level: {"macro_f1": {name: list(row) for name, row in each.macro_f1.items()}, "seconds": seconds[level]}
            for level, each in found.items()
        },
        "notes": list(given.notes),
        **_origin(predictor, options, given),
    }
    return content, "\n\n".join([*given.notes, _table(found, seconds)])


def _table(found: dict[str, Estimate], seconds: dict[str, float]) -> str:
    """The levels beside the parent, in Markdown."""
    first = next(iter(found.values()))
    rows: list[tuple[Any, ...]] = [("parent", first.macro_f1["parent"], None, first.parent, None)]
    rows += [
        (name, each.macro_f1["adapted"], each.macro_f1["difference"], each.adapted, seconds[name])
        for name, each in found.items()
    ]
    lines = ["| level | macro F1 | 95 % interval | over the parent | 95 % interval | micro F1 | NLL | seconds |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, (value, low, high), more, metrics, took in rows:
        gained = "| |" if more is None else f"| {more[0]:+.3f} | {more[1]:+.3f} to {more[2]:+.3f} |"
        last = "" if took is None else f"{took:.1f}"
        numbers = f"{metrics['micro_f1']:.3f} | {metrics['nll']:.4f} | {last} |"
        lines.append(f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} {gained} {numbers}")
    return "\n".join(lines)


def _without_profiles(bundle: Bundle, kept: Collection[str], adapted: Adapted) -> Adapted:
    """The same, with a note on the profiles of the bundle that are not among the `kept` ones of another network."""
    lost = [name for name in bundle.profiles if name not in kept]
    if not lost:
        return adapted
    note = f"the profiles of the bundle are left out, as they are of its own network: {', '.join(lost)}."
    return replace(adapted, notes=(*adapted.notes, note))


def _untouched(bundle: Bundle, options: AdaptOptions, adapted: Adapted) -> list[str]:
    """A note on the profiles that go on deciding as they did."""
    if options.profile is not None or adapted.layer is not None or not bundle.profiles:
        return []
    names = ", ".join(bundle.profiles)
    return [f"the profiles of the bundle decide as before: {names}; adapt one with --profile and its name."]


def _origin(predictor: Predictor, options: AdaptOptions, given: Given) -> dict[str, Any]:
    return {
        "level": options.level, "precision": predictor.precision, "seed": options.seed,
        "rows": len(given.evidence.logits), "unlabelled_texts": len(given.texts),
        "data_fingerprint": given.corpus.fingerprint if given.corpus is not None else None,
    }  # fmt: skip


def _page(adapted: Adapted, estimated: Estimate | None, given: Given, path: Path) -> str:
    parts = list(adapted.notes)
    if estimated is not None:
        parts += ["On the labelled rows, each decided without itself (nested cross-validation):", described(estimated)]
    if given.corpus is not None and adapted.kept:
        parts.append(f"{len(given.evidence.logits)} rows gave no reason to change what was there: it is kept.")
    return "\n\n".join([*parts, f"Written to {path}."])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
