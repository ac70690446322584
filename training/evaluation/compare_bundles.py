"""Several bundles, or one in several precisions, on the same rows: what `comparison` is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bundle import Bundle
from shared.context import MOST_TURNS, context_of
from shared.errors import ConfigError, DataFormatError
from shared.files import write_json
from shared.labels import LabelSet
from shared.task import require_labels
from training.config.evaluate import CompareOptions
from training.evaluation.comparison import LOWER_IS_BETTER, Candidate, compare
from training.evaluation.inference import LogitsOf, cost, trained_logits
from training.evaluation.measures import Bools, Predictions
from training.evaluation.own_data import rows_to_score
from training.evaluation.report import environment
from training.evaluation.results_folder import results_folder, written_into

TORCH = "torch"
"""The precision of the trained model, as it is."""

Opened = Callable[[Bundle, str], tuple[LogitsOf, Path]]
"""Opens an exported precision of a bundle: its logits, and the file they come from."""


@dataclass(frozen=True)
class Named:
    """What the command line names: a bundle, or the run it is in, and a precision.

    Attributes:
        name: shown.
        path: folder of the bundle.
        precision: torch, fp32, int8 or fp16.
    """

    name: str
    path: Path
    precision: str

    @classmethod
    def parse(cls, word: str) -> Named:
        """`FOLDER` or `FOLDER@int8`; the folder of a run stands for its bundle."""
        folder, _, precision = word.rpartition("@") if "@" in Path(word).name else (word, "", TORCH)
        path = Path(folder)
        return cls(word, path / "bundle" if (path / "bundle" / "bundle.json").is_file() else path, precision)


@dataclass(frozen=True)
class Rows:
    """What every model is asked.

    Attributes:
        texts: N texts.
        truth: shape (N, L).
        known: shape (N, L).
        what: the rows in words.
        notes: what was decided while reading them.
    """

    texts: list[str]
    truth: Bools
    known: Bools
    what: str
    notes: tuple[str, ...] = ()


def compare_bundles(words: Sequence[str], options: CompareOptions, *, opened: Opened | None = None) -> dict[str, Any]:
    """Compare bundles; the result is that of `comparison.compare`, with notes.

    Without data they are compared on the reference rows of the first, where the logits of a trained model that has the
    same reference rows are those kept in its bundle.

    Args:
        words: as `Named.parse` reads them; the first is what the others are compared with.
        options: rows, resamples, where to write.
        opened: opens exported precisions; none can be named without.

    Raises:
        BundleError: when a bundle cannot be used.
        ConfigError: for fewer than two, one named twice, an exported precision that cannot be opened here, or data
            keys that no rows go with.
        DataError: when the data cannot be used.
        DataFormatError: when they share no label, or label ids are positions and the labels stand elsewhere in another.
    """
    if len(words) < 2 or len(set(words)) < len(words):
        raise ConfigError(
            f"a comparison needs two different bundles or more, and got {len(words)}: {', '.join(words) or 'none'}.",
            hint="Name them one after the other, such as: runs/a runs/b runs/b@int8.",
        )
    target = results_folder(options.output)
    named = [Named.parse(word) for word in words]
    bundles = [Bundle.read(one.path) for one in named]
    for bundle in bundles:
        require_labels(bundle.task, "emotion compare")
    labels = _shared_labels(bundles)
    rows = _rows(bundles, labels, options)
    candidates = [
        _candidate(one, bundle, rows, labels, options=options, opened=opened)
        for one, bundle in zip(named, bundles, strict=True)
    ]
    result = {
        "on": rows.what, "notes": [*_notes(bundles, labels, rows.texts), *rows.notes],
        **compare(
            candidates, labels, texts=rows.texts if options.show_texts else (), samples=options.bootstrap_samples
        ),
    }  # fmt: skip
    if target is not None:
        with written_into(target) as folder:
            write_json(folder / "comparison.json", result)
            (folder / "report.html").write_text(render_comparison(result), encoding="utf-8")
    return result


def _shared_labels(bundles: Sequence[Bundle]) -> tuple[str, ...]:
    """Labels that every bundle has, in the order of the first."""
    shared = [
        name for name in bundles[0].label_set.names if all(name in one.label_set.names for one in bundles)
    ]  # fmt: skip
    if not shared:
        raise DataFormatError(
            "the bundles share no label: "
            + "; ".join(f"{bundle.path} has {', '.join(bundle.label_set.names[:5])}" for bundle in bundles)
            + "."
        )
    return tuple(shared)


def _notes(bundles: Sequence[Bundle], labels: Sequence[str], texts: Sequence[str]) -> list[str]:
    return [
        f"{bundle.path} has labels that not all have, left out: "
        + ", ".join(name for name in bundle.label_set.names if name not in labels)
        for bundle in bundles
        if len(bundle.label_set) > len(labels)
    ] + _context_notes(bundles, texts)


def _context_notes(bundles: Sequence[Bundle], texts: Sequence[str]) -> list[str]:
    """Which of the bundles read the turns before a text."""
    aware = [str(bundle.path) for bundle in bundles if bundle.manifest.context is not None]
    if not aware:
        return []
    rows = sum(bool(context_of(text)) for text in texts)
    alone = [str(bundle.path) for bundle in bundles if bundle.manifest.context is None]
    others = f"; {', '.join(alone)} the text alone" if alone else ""
    return [f"{', '.join(aware)} reads the turns before a text, which {rows:,} of {len(texts):,} rows have{others}"]


def _rows(bundles: Sequence[Bundle], labels: Sequence[str], options: CompareOptions) -> Rows:
    first = bundles[0]
    options.data.check_path(
        "Leave it out for the reference rows of the first bundle; the embedded corpus is --data.sources "
        "'[{kind: sample}]'."
    )
    if options.data.path is None and not options.data.sources:
        reference = first.reference()
        columns = [first.label_set.index(name) for name in labels]
        what = f"the {reference.split} rows in {first.path}"
        truth = reference.labels[:, columns].astype(np.bool_)
        return Rows(_in_context(list(reference.texts), bundles), truth, reference.known[:, columns], what)
    by_position = options.data.ids_of_bundle
    if by_position:
        _check_positions(bundles, labels)
    read_as = first.label_set if by_position else LabelSet(tuple(labels))
    forms = [bundle.manifest.context for bundle in bundles if bundle.manifest.context is not None]
    context = max(forms, key=lambda form: form.turns or MOST_TURNS, default=None)
    data = rows_to_score(bundles, options.data, options.data.split, read_as, context=context)
    columns = [read_as.index(name) for name in labels]
    truth, known = data.rows.hard_targets[:, columns], data.rows.known[:, columns]
    return Rows(list(data.rows.texts), truth, known, f"{data.split} of the data given", data.notes)


def _in_context(texts: list[str], bundles: Sequence[Bundle]) -> list[str]:
    """Reference rows with the turns before them, where a bundle that has the same rows keeps those."""
    for bundle in bundles:
        if bundle.manifest.context is not None:
            kept = list(bundle.reference().texts)
            if kept == texts:
                return kept
    return texts


def _check_positions(bundles: Sequence[Bundle], labels: Sequence[str]) -> None:
    """Refuse label ids that mean one label in the first bundle and another one elsewhere."""
    first = bundles[0]
    for bundle in bundles[1:]:
        for name in labels:
            here, there = first.label_set.index(name), bundle.label_set.index(name)
            if here != there:
                raise DataFormatError(
                    f"data.ids_of_bundle is true, and {name} is label {here} of {first.path} and {there} of "
                    f"{bundle.path}.",
                    hint="Name the ids with data.labels in their order.",
                )


def _candidate(
    one: Named, bundle: Bundle, rows: Rows, labels: Sequence[str], *, options: CompareOptions, opened: Opened | None
) -> Candidate:
    logits, measured = _logits(one, bundle, rows, options, opened)
    probabilities = bundle.calibration.apply(logits)
    decisions = bundle.policies.decide(probabilities, options.policy)
    columns = [bundle.label_set.index(name) for name in labels]
    predictions = Predictions(rows.truth, rows.known, probabilities[:, columns], decisions[:, columns])
    details = {"bundle": str(bundle.path), "seal": bundle.seal, "precision": one.precision,
               "policy": options.policy or bundle.policies.default}  # fmt: skip
    return Candidate(one.name, predictions, measured, details)


def _logits(
    one: Named, bundle: Bundle, rows: Rows, options: CompareOptions, opened: Opened | None
) -> tuple[NDArray[np.float32], Mapping[str, float]]:
    """Logits of all rows, and what they cost where that is asked for."""
    if one.precision == TORCH:
        stored = stored_logits(bundle, rows.texts)
        if stored is not None and not options.timing:
            return stored, {}
        model = trained_logits(bundle, batch_size=options.batch_size, threads=options.threads)
        file = bundle.path / bundle.weights_files[0]
    else:
        if opened is None:
            raise ConfigError(f"{one.name}: an exported precision is compared by the command `emotion compare`.")
        model, file = opened(bundle, one.precision)
        stored = None
    measured = cost(model, rows.texts, file) if options.timing else {}
    return (model(rows.texts) if stored is None else stored), measured


def stored_logits(bundle: Bundle, texts: Sequence[str]) -> NDArray[np.float32] | None:
    """The logits that the bundle keeps of these texts, where it reads the same turns before each; else None."""
    kept, form = bundle.reference(), bundle.manifest.context
    if list(kept.texts) != list(texts):
        return None
    alike = form is None or all(
        form.said(context_of(own)) == form.said(context_of(text)) for own, text in zip(kept.texts, texts, strict=True)
    )
    return kept.logits if alike else None


def render_comparison(result: Mapping[str, Any]) -> str:
    """The comparison as one HTML page."""
    return environment().get_template("comparison.html.j2").render(result=result, lower=LOWER_IS_BETTER)


def as_text(result: Mapping[str, Any]) -> str:
    """The comparison as a table for a terminal: metrics of each, and gains that are more than chance marked."""
    shown = ("macro_f1", "micro_f1", "samples_f1", "macro_ap", "brier", "nll", "ece_classwise", "subset_accuracy")
    names = [row["name"] for row in result["candidates"]]
    width = max(map(len, shown)) + 2
    lines = [f"{result['rows']:,} rows: {result['on']}"]
    for place, (name, row) in enumerate(zip(names, result["candidates"], strict=True)):
        lines.append(f"{name}{'' if place else '  (the others are compared with this one)'}")
        against = None if place == 0 else result["against_first"][place - 1]
        for metric in shown:
            value = row["metrics"][metric]
            text = f"  {metric:<{width}}" + ("-" if value is None else f"{value:.4f}")
            if against and metric in against["gains"]:
                gain = against["gains"][metric]
                verdict = {True: "better", False: "worse", None: "may be chance"}[gain["better"]]
                low, high = gain["interval"]
                text += f"  {gain['difference']:+.4f} ({low:+.4f} to {high:+.4f}) {verdict}"
            lines.append(text)
        if row["cost"]:
            lines.append("  " + ", ".join(f"{key} {value:.4g}" for key, value in row["cost"].items()))
    return "\n".join(lines) + "\n"
