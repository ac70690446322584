"""The metrics of a bundle of intensities on any data, at the scale of the bundle."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.bundle import Bundle
from shared.errors import ConfigError, DataFormatError
from shared.files import write_json
from shared.intensity import Readout, Scale
from training.config.evaluate import EvaluateOptions, EvaluationData
from training.data.load import EvaluationRows
from training.data.sources.kept import sources_kept
from training.evaluation.inference import LogitsOf, trained_logits
from training.evaluation.intensity_report import render_intensity_report
from training.evaluation.intensity_scoring import (
    ScoredIntensities,
    score_intensities,
    scored_of,
    write_intensity_rows,
)
from training.evaluation.own_data import rows_to_score
from training.evaluation.results_folder import note_older, results_folder, written_into


def evaluate_intensity_bundle(
    bundle: Bundle, options: EvaluateOptions, *, logits: LogitsOf | None = None, precision: str = "torch"
) -> dict[str, Any]:
    """Correlations, errors and coverage of a bundle's model; for the arguments see `evaluate_bundle`.

    Raises:
        ConfigError: for options that are made for labels.
        DataError: when the data cannot be used, or shares no label with the bundle.
    """
    assert bundle.readout is not None
    if options.level is not None:
        raise ConfigError(f"level is {options.level}, and the bundle's task is intensity.", hint="Leave it out.")
    target = results_folder(options.output)
    logits = logits or trained_logits(bundle, batch_size=options.batch_size, threads=options.threads)
    with sources_kept():
        found = [_scored(bundle, bundle.readout, part, logits, options.bootstrap_samples) for part in _parts(options)]
    results = [result for result, _ in found]
    result = {"bundle": str(bundle.path), "seal": bundle.seal, "task": str(bundle.task), **results[0]}
    if len(results) > 1:
        result["parts"] = results
    if target is not None:
        _write(target, bundle, result, [item for _, item in found], options=options, precision=precision)
    return result


Part = tuple[str | None, EvaluationData, str | None]
"""Title, data and split of what gets metrics of its own."""


def _parts(options: EvaluateOptions) -> Iterator[Part]:
    sources = options.data.sources if options.each_source else []
    if options.each_source and len(sources) < 2:
        raise ConfigError("each_source is true, and data.sources does not list several corpora.")
    splits: list[str | None] = list(options.splits) if options.splits else [options.data.split]
    for split in splits:
        yield None, options.data, split
        for place, source in enumerate(sources, 1):
            yield f"{place}. {source.kind}", replace(options.data, sources=[source]), split


def _scored(
    bundle: Bundle, readout: Readout, part: Part, logits: LogitsOf, samples: int
) -> tuple[dict[str, Any], ScoredIntensities]:
    title, data, split = part
    config = replace(data, task="intensity")
    loaded = rows_to_score([bundle], config, split, bundle.label_set)
    notes, rows = [*loaded.notes, *_scale_notes(readout.scale, loaded.scale)], loaded.rows
    start = time.perf_counter()
    given = logits(rows.texts)
    speed = len(rows) / max(time.perf_counter() - start, 1e-9)
    metrics = score_intensities(rows, given, readout, samples=samples)
    name = f"{loaded.split}, {title}" if title else loaded.split
    fitted = loaded.split == readout.fitted_on and _same_texts(bundle, loaded)
    item = scored_of(name, rows, given, readout, metrics, fitted_here=fitted, texts_per_s=speed)
    absent = set(metrics["not_annotated"])
    result = {
        "split": loaded.split, "title": name,
        "sources": [{"kind": source.kind, "path": source.path} for source in data.resolved_sources()],
        "rows": {"read": loaded.read, "scored": len(rows)},
        "labels_scored": [label for label in readout.labels if label not in absent],
        "texts_per_s": speed, "fitted_here": fitted, "notes": notes, **metrics,
    }  # fmt: skip
    return result, item


def _scale_notes(ours: Scale, theirs: Scale | None) -> list[str]:
    """What is done where the rows are on another scale than the bundle's.

    Raises:
        DataFormatError: when one of them has levels and the other has not.
    """
    if theirs is None or theirs == ours:
        return []
    if (theirs.step is None) != (ours.step is None):
        raise DataFormatError(
            f"the rows have intensities on the scale {theirs}, and the bundle's is {ours}: one has levels and the "
            "other has not, so that their metrics are not the same ones."
        )
    return [f"intensities on the scale {theirs} are laid onto the bundle's ({ours})"]


def _same_texts(bundle: Bundle, loaded: EvaluationRows) -> bool:
    """Whether most of the rows are the bundle's reference rows."""
    kept = set(bundle.reference().texts)
    return sum(text in kept for text in loaded.rows.texts) > len(loaded.rows) / 2


def _write(
    target: Path,
    bundle: Bundle,
    result: dict[str, Any],
    scored: list[ScoredIntensities],
    *,
    options: EvaluateOptions,
    precision: str,
) -> None:
    page = render_intensity_report(
        f"{bundle.path.absolute().parent.name} on {', '.join(item.name for item in scored)}",
        f"bundle {bundle.path}, seal {bundle.seal[:12]}, {precision}",
        scored,
        details={"Provenance": json.dumps(dict(bundle.manifest.provenance), indent=2, ensure_ascii=False)},
        data_lines=[note for item in result.get("parts", [result]) for note in item["notes"]],
    )
    with written_into(target) as temporary:
        write_json(temporary / "metrics.json", result)
        (temporary / "report.html").write_text(page, encoding="utf-8")
        if options.rows:
            write_intensity_rows(temporary / "rows.csv", scored, texts=options.show_texts)
        else:
            note_older(target, "rows.csv", "--rows true")
