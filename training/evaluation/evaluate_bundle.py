"""The metrics of a bundle on any data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bundle import Bundle
from shared.cli import default_threads
from shared.files import replacing_folder, write_json
from training.config.evaluate import EvaluateOptions
from training.data.corpus import Corpus
from training.data.load import EvaluationRows, load_eval_split
from training.data.sources.base import TEST, WHOLE
from training.evaluation.report import Scored, render_report
from training.evaluation.scoring import SplitPredictions, score

LogitsOf = Callable[[Bundle, Corpus], NDArray[np.float32]]
"""Gives the logits, shape (N, L), of a bundle's model for the N texts of a corpus."""


def evaluate_bundle(path: Path, options: EvaluateOptions, *, logits: LogitsOf | None = None) -> dict[str, Any]:
    """The metrics of a bundle's model on a split, with the bundle's own calibration and thresholds.

    Args:
        path: folder of the bundle.
        options: which rows, and where to write.
        logits: of the model to evaluate, an exported one for example; the trained one, in torch, when None.

    Raises:
        BundleError: when the bundle cannot be used.
        DataError: when the data cannot be used, or shares no label with the bundle.
    """
    bundle = Bundle.read(path)
    data = _rows(bundle, options)
    split = SplitPredictions.of(data.split, data.rows, (logits or _trained_logits(options))(bundle, data.rows))
    metrics = score(split, bundle.calibration, bundle.policies, samples=options.bootstrap_samples)
    absent = set(metrics["not_annotated"])
    result = {
        "bundle": str(bundle.path), "seal": bundle.seal, "split": data.split,
        "sources": [{"kind": source.kind, "path": source.path} for source in options.data.resolved_sources()],
        "rows": {"read": data.read, "scored": len(data.rows)},
        "labels_scored": [name for name in bundle.label_set.names if name not in absent],
        "notes": list(data.notes),
        **metrics,
    }  # fmt: skip
    if options.output:
        _write(Path(options.output), bundle, split, metrics, result)
    return result


def _rows(bundle: Bundle, options: EvaluateOptions) -> EvaluationRows:
    """The rows to score; of a source without official splits that the bundle was trained on, its test part alone."""
    chosen = options.data.split
    data = load_eval_split(options.data, chosen, bundle.label_set, ids_are_positions=options.data.ids_of_bundle)
    if data.split != WHOLE:
        return data
    trained_on = {source["origin"] for source in bundle.manifest.provenance.get("data", {}).get("sources", [])}
    here = {str(Path(source.path).absolute()) for source in options.data.resolved_sources() if source.path}
    if not trained_on & here:
        return data
    if chosen is None:
        data = load_eval_split(options.data, TEST, bundle.label_set, ids_are_positions=options.data.ids_of_bundle)
        note = "the bundle was trained on this source: scored is the part that was held out as test"
        return replace(data, notes=(*data.notes, note))
    note = "the bundle was trained on this source, so that most of these rows are training rows"
    return replace(data, notes=(*data.notes, note))


def _trained_logits(options: EvaluateOptions) -> LogitsOf:
    """The model as it was trained; only this needs torch."""
    import torch  # noqa: PLC0415

    from shared.modeling.classifier import load_classifier  # noqa: PLC0415
    from shared.modeling.device import torch_device  # noqa: PLC0415
    from training.model.inference import predict_logits  # noqa: PLC0415

    def logits(bundle: Bundle, corpus: Corpus) -> NDArray[np.float32]:
        torch.set_num_threads(options.threads or default_threads())
        model = load_classifier(bundle.path)
        model.to(torch_device())  # type: ignore[arg-type]
        tokenizer = bundle.tokenizer()
        rows = [row.ids for row in tokenizer.encode(corpus.texts)]
        return predict_logits(model, tokenizer, rows, batch_size=options.batch_size)

    return logits


def _write(
    folder: Path, bundle: Bundle, split: SplitPredictions, metrics: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    page = render_report(
        f"{bundle.path.absolute().parent.name} on {split.name}",
        f"bundle {bundle.path}, seal {bundle.seal[:12]}",
        [Scored(split, metrics)],
        bundle.calibration,
        bundle.policies,
        details={"Provenance": json.dumps(dict(bundle.manifest.provenance), indent=2, ensure_ascii=False)},
    )
    with replacing_folder(folder) as temporary:
        write_json(temporary / "metrics.json", result)
        (temporary / "report.html").write_text(page, encoding="utf-8")
