"""The metrics of a bundle on any data: several splits and corpora at once, at the level of labels or of groups."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.bundle import Bundle
from shared.drift import Histograms
from shared.errors import ConfigError
from shared.files import read_json, write_json
from shared.labels import TAXONOMIES, LabelSet, taxonomies_for
from training.config.evaluate import EvaluateOptions, EvaluationData
from training.data.load import EvaluationRows
from training.data.sources.kept import sources_kept
from training.evaluation.by_language import metrics_by_language
from training.evaluation.evaluate_intensities import evaluate_intensity_bundle
from training.evaluation.faithfulness import faithfulness
from training.evaluation.inference import LogitsOf, trained_logits
from training.evaluation.levels import levels_of, score_groups
from training.evaluation.measures import Floats
from training.evaluation.over_time import drift_over_periods, metrics_over_periods, months
from training.evaluation.own_data import rows_to_score
from training.evaluation.report import render_report
from training.evaluation.results_folder import note_older, results_folder, written_into
from training.evaluation.rows_file import write_rows
from training.evaluation.scoring import SplitPredictions, score
from training.evaluation.sections import Scored
from training.evaluation.slices import TokenCounts


@dataclass(frozen=True)
class Part:
    """Rows that get metrics of their own.

    Attributes:
        title: shown for them.
        data: where they come from.
        split: of that data; None for the default one.
    """

    title: str | None
    data: EvaluationData
    split: str | None


def evaluate_bundle(
    path: Path, options: EvaluateOptions, *, logits: LogitsOf | None = None, precision: str = "torch"
) -> dict[str, Any]:
    """The metrics of a bundle's model, with the bundle's own calibration and thresholds.

    Args:
        path: folder of the bundle.
        options: which rows, and where to write.
        logits: of the model to evaluate, an exported one for example; the trained one, in torch, when None.
        precision: of that model, for the report.

    Returns:
        Metrics of the first part; of all of them under `parts`, when there are several.

    Raises:
        BundleError: when the bundle cannot be used.
        DataError: when the data cannot be used, or shares no label with the bundle.
        ConfigError: for a level that the bundle's labels do not have.
    """
    bundle = Bundle.read(path)
    if not bundle.task.decides:
        return evaluate_intensity_bundle(bundle, options, logits=logits, precision=precision)
    if options.data.task == "intensity":
        raise ConfigError(f"data.task is intensity, and {path} is a bundle of decided labels.", hint="Leave it out.")
    _check_level(bundle, options.level)
    target = results_folder(options.output)
    parts = list(_parts(options))
    with sources_kept():
        loaded = [_rows(bundle, part, options.level) for part in parts]
    logits = logits or trained_logits(bundle, batch_size=options.batch_size, threads=options.threads)
    scored = [
        _score(bundle, part, data, logits, options) for part, data in zip(parts, loaded, strict=True)
    ]  # fmt: skip
    if target is not None and options.level is None:
        scored[0] = _with_faithfulness(scored[0], loaded[0].rows.texts, logits, options.faithfulness_texts)
    results = [
        _result(part, data, item) for part, data, item in zip(parts, loaded, scored, strict=True)
    ]  # fmt: skip
    result = {"bundle": str(bundle.path), "seal": bundle.seal, **results[0]}
    if len(results) > 1:
        result["parts"] = results
    if target is not None:
        _write(target, bundle, scored, result, options=options, precision=precision)
    return result


def _check_level(bundle: Bundle, level: str | None) -> None:
    if level is not None and level not in taxonomies_for(bundle.label_set):
        raise ConfigError(
            f"level is {level}, and the bundle's labels ({', '.join(bundle.label_set.names[:6])}, ...) are not the 28 "
            "of GoEmotions that it groups.",
            hint="Leave level out.",
        )


def _parts(options: EvaluateOptions) -> Iterator[Part]:
    splits: list[str | None] = list(options.splits) if options.splits else [options.data.split]
    sources = options.data.sources if options.each_source else []
    if options.each_source and len(sources) < 2:
        raise ConfigError("each_source is true, and data.sources does not list several corpora.")
    for split in splits:
        yield Part(None, options.data, split)
        for place, source in enumerate(sources, 1):
            yield Part(f"{place}. {source.kind}", replace(options.data, sources=[source]), split)


def _rows(bundle: Bundle, part: Part, level: str | None) -> EvaluationRows:
    """The rows to score, at the level asked for."""
    config, labels = part.data, bundle.label_set
    if level is not None:
        config, labels = _at_level(config, level), LabelSet(tuple(TAXONOMIES[level].groups))
    data = rows_to_score([bundle], config, part.split, labels, context=bundle.manifest.context)
    return data if level else replace(data, notes=(*data.notes, *_group_doubts(bundle, data)))


def _at_level(config: EvaluationData, level: str) -> EvaluationData:
    """The same data with the labels of every source in groups."""
    if config.sources:
        return replace(config, sources=[replace(s, taxonomy=s.taxonomy or level) for s in config.sources])
    return replace(config, taxonomy=config.taxonomy or level)


def _group_doubts(bundle: Bundle, data: EvaluationRows) -> list[str]:
    """Labels of a corpus that are Ekman's: the same names stand for single labels and for groups of the 28."""
    if "ekman" not in taxonomies_for(bundle.label_set):
        return []
    names = {bundle.label_set.names[place] for place in np.flatnonzero(data.rows.known.any(axis=0))}
    if len(names) < 3 or not names <= set(TAXONOMIES["ekman"].groups):
        return []
    return [
        f"the corpus annotates {', '.join(sorted(names))}, read here as the labels of these names; where it means "
        "Ekman's groups (joy for love and pride too), say --level ekman"
    ]


def _score(bundle: Bundle, part: Part, data: EvaluationRows, logits: LogitsOf, options: EvaluateOptions) -> Scored:
    rows, samples = data.rows, options.bootstrap_samples
    start = time.perf_counter()
    given = logits(rows.texts)
    speed = len(rows) / max(time.perf_counter() - start, 1e-9)
    tokens = TokenCounts.of(rows.texts, bundle.tokenizer())
    name = f"{data.split}, {part.title}" if part.title else data.split
    about: dict[str, Any] = {"corpus": rows, "tokens": tokens, "texts_per_s": speed}
    if options.level is not None:
        taxonomy = TAXONOMIES[options.level]
        metrics, grouped = score_groups(
            rows.hard_targets, rows.known, bundle.calibration.apply(given), bundle, taxonomy, samples=samples
        )  # fmt: skip
        thresholds = np.full(len(taxonomy.groups), np.nan)
        return Scored(name, grouped, metrics, tuple(taxonomy.groups), thresholds, **about)
    split = SplitPredictions.of(name, rows, given)
    metrics = score(
        split, bundle.calibration, bundle.policies, prior=_frequencies(bundle), samples=samples,
        prior_name="reference_prior",
    )  # fmt: skip
    item = Scored.of(split, metrics, bundle.calibration, bundle.policies, **about)
    if rows.created_s is not None:
        periods, bins = months(rows.created_s), Histograms.of(bundle)
        metrics["over_time"] = {
            "metrics": metrics_over_periods(periods, item.rows),
            **drift_over_periods(periods, item.rows.probabilities, tokens.lengths, bins),
        }
    metrics["languages"] = metrics_by_language(
        item.rows, rows.languages, item.labels, bundle.profiles,
        calibration=bundle.calibration, single_label=bundle.manifest.task == "single_label",
    )  # fmt: skip
    metrics["levels"] = levels_of(item.rows, item.thresholds, item.labels, samples=samples)
    fitted = data.split == bundle.policies.fitted_on and _same_texts(bundle, data)
    return replace(item, fitted_here=fitted)


def _with_faithfulness(item: Scored, texts: Sequence[str], logits: LogitsOf, most_texts: int) -> Scored:
    found = faithfulness(texts, item.rows, logits, most_texts=most_texts)
    return item if found is None else replace(item, metrics={**item.metrics, "faithfulness": found})


def _frequencies(bundle: Bundle) -> Floats:
    """Share of the bundle's reference rows that carry each label, shape (L,)."""
    reference = bundle.reference()
    known = reference.known.sum(axis=0)
    positive = (reference.labels.astype(np.bool_) & reference.known).sum(axis=0)
    shares: Floats = np.divide(positive, known, out=np.zeros(len(known)), where=known > 0)
    return shares


def _same_texts(bundle: Bundle, data: EvaluationRows) -> bool:
    """Whether most of the rows are the bundle's reference rows."""
    kept = set(bundle.reference().texts)
    return sum(text in kept for text in data.rows.texts) > len(data.rows) / 2


def _result(part: Part, data: EvaluationRows, item: Scored) -> dict[str, Any]:
    absent = set(item.metrics["not_annotated"])
    return {
        "split": data.split, "title": item.name,
        "sources": [{"kind": source.kind, "path": source.path} for source in part.data.resolved_sources()],
        "rows": {"read": data.read, "scored": len(data.rows)},
        "labels_scored": [name for name in item.labels if name not in absent],
        "texts_per_s": item.texts_per_s, "fitted_here": item.fitted_here,
        "notes": list(data.notes), **item.metrics,
    }  # fmt: skip


def _write(
    folder: Path,
    bundle: Bundle,
    scored: list[Scored],
    result: dict[str, Any],
    *,
    options: EvaluateOptions,
    precision: str,
) -> None:
    page = render_report(
        f"{bundle.path.absolute().parent.name} on {', '.join(item.name for item in scored)}",
        f"bundle {bundle.path}, seal {bundle.seal[:12]}, {precision}",
        scored,
        precisions=_precisions(bundle),
        details={"Provenance": json.dumps(dict(bundle.manifest.provenance), indent=2, ensure_ascii=False)},
        data_lines=[note for item in result.get("parts", [result]) for note in item["notes"]],
        texts=options.show_texts,
    )
    with written_into(folder) as temporary:
        write_json(temporary / "metrics.json", result)
        (temporary / "report.html").write_text(page, encoding="utf-8")
        if options.rows:
            write_rows(temporary / "rows.csv", scored, texts=options.show_texts)
        else:
            note_older(folder, "rows.csv", "--rows true")


def _precisions(bundle: Bundle) -> dict[str, Any]:
    """What the verification says of each exported precision, on the reference rows."""
    file = bundle.path / "onnx" / "verification.json"
    if not file.is_file():
        return {}
    content = read_json(file)
    return {name: report for name, report in content.get("precisions", {}).items() if "metrics" in report}
