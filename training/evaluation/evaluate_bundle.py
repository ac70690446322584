"""The figures of a bundle on any data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shared.bundle import Bundle
from shared.cli import default_threads
from shared.files import replacing_folder, write_json
from shared.modeling.classifier import load_classifier
from shared.modeling.device import torch_device
from training.config.evaluate import EvaluateOptions
from training.data.corpus import Corpus
from training.data.load import load_eval_split
from training.evaluation.report import Scored, render_report
from training.evaluation.scoring import Split, score
from training.model.inference import predict_logits


def evaluate_bundle(path: Path, options: EvaluateOptions) -> dict[str, Any]:
    """The figures of a bundle's model on a split, with the bundle's own calibration and thresholds.

    Raises:
        BundleError: when the bundle cannot be used.
        DataError: when the data cannot be used, or shares no label with the bundle.
    """
    torch.set_num_threads(options.threads or default_threads())
    bundle = Bundle.read(path)
    corpus = load_eval_split(options.data, options.data.split, bundle.label_set)
    split = Split.of(options.data.split, corpus, _logits(bundle, corpus, options.batch_size))
    metrics = score(split, bundle.calibration, bundle.policies, samples=options.bootstrap_samples)
    result = {
        "bundle": str(bundle.path), "seal": bundle.seal, "split": options.data.split,
        "sources": [{"kind": source.kind, "path": source.path} for source in options.data.resolved_sources()],
        **metrics,
    }  # fmt: skip
    if options.output:
        _write(Path(options.output), bundle, split, metrics, result)
    return result


def _logits(bundle: Bundle, corpus: Corpus, batch_size: int) -> Any:
    model = load_classifier(bundle.path)
    model.to(torch_device())  # type: ignore[arg-type]
    tokenizer = bundle.tokenizer()
    return predict_logits(model, tokenizer, [row.ids for row in tokenizer.encode(corpus.texts)], batch_size=batch_size)


def _write(folder: Path, bundle: Bundle, split: Split, metrics: Mapping[str, Any], result: Mapping[str, Any]) -> None:
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
