"""The level full: every weight is trained further on the labelled rows, then decisions are fitted as for the others.

This level needs torch, and minutes where the others need seconds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.bundle import Bundle
from shared.context import turns_to_json
from shared.errors import ConfigError
from shared.profiles import LANGUAGE
from training.adapting.adapt import Adapted, Estimate, Evidence, Parent, adapt, judge
from training.adapting.recalibration import folds

if TYPE_CHECKING:
    from emotion_classifiers.adapting.inputs import Given
    from training.data.corpus import Corpus

FEWEST_ROWS = 50
"""Fewer labelled rows leave too few of them for the decisions."""

DEV_SHARE = 0.25
"""Share of the labelled rows that no weight is trained on: the best epoch and the decisions are fitted on them."""

CONTEXT_COLUMN = "previous_turns"
"""Of the table of rows that the run reads."""

SKIPPED_CHECKS = ["labels", "lengths", "initial_loss"]
"""Of the preflight: few rows and the parent's length are what is asked for."""

RECIPE = {"optim.epochs": "6", "optim.lr": "5e-5", "optim.head_lr": "5e-4", "optim.batch_size": "16"}
"""Gentler than from a pretrained encoder: the network knows the task."""


def check_rows(evidence: Evidence) -> None:
    """Refuse to train on a handful.

    Raises:
        ConfigError: says how many rows are needed.
    """
    if len(evidence.logits) < FEWEST_ROWS:
        raise ConfigError(
            f"{len(evidence.logits)} labelled rows are too few to train on; allowed: {FEWEST_ROWS} or more.",
            hint="Use the level head or thresholds.",
        )


def train_further(
    bundle: Bundle, corpus: Corpus, folder: Path, *, seed: int, threads: int | None, say: Callable[[str], None],
    judged_only: bool = False,
) -> Bundle:  # fmt: skip
    """A run on the rows that starts from the bundle's network, head included; its bundle.

    Languages get thresholds of their own where the bundle has such, and enough of the rows are in each.

    Args:
        bundle: the parent.
        corpus: the labelled rows.
        folder: of the run.
        seed: which rows are held out for the decisions.
        threads: CPU threads.
        say: told what is going on.
        judged_only: whether the bundle is thrown away when its rows left out are judged.
    """
    from training.config import Config  # noqa: PLC0415
    from training.config.parser import parse_options  # noqa: PLC0415
    from training.run import run  # noqa: PLC0415  (loads torch)

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    _write_rows(corpus, bundle.manifest.labels, path, seed)
    manifest = bundle.manifest
    options = {
        "data.source": "table", "data.path": str(path), "data.labels": list(manifest.labels),
        "data.label_column": ",".join(manifest.labels), "data.split_column": "split", "data.text_column": "text",
        "data.max_length": str(manifest.max_length), "data.head_tokens": str(manifest.head_tokens),
        "data.normalisation": manifest.normalisation,
        "model.name": str(bundle.path.resolve()), "model.keep_head": "true", "model.pooling": manifest.pooling,
        "run.name": "run", "run.output_dir": str(folder), "run.seed": str(seed), "watch.trackers": [],
        "preflight.skip": SKIPPED_CHECKS, **RECIPE, "eval.bootstrap_samples": "0",
    }  # fmt: skip
    if judged_only:
        options["eval.fairness_sentences"] = "0"
    if corpus.languages is not None:
        of_languages = any(LANGUAGE in profile.about for profile in bundle.profiles.values())
        options |= {"data.language_column": LANGUAGE, "calibration.per_language": json.dumps(of_languages)}
    if manifest.context is not None:
        options |= {
            "data.context_column": CONTEXT_COLUMN, "data.context_length": str(manifest.context.length),
            "data.context_speakers": str(manifest.context.speakers).lower(),
        }  # fmt: skip
        if manifest.context.turns is not None:
            options["data.context_turns"] = str(manifest.context.turns)
    if threads is not None:
        options["run.threads"] = str(threads)
    from emotion_classifiers.data import arguments  # noqa: PLC0415

    config, _ = parse_options(Config, arguments(options), prog="adapt", description="", environment=False)
    say(f"training on {len(corpus)} rows ...")
    with (folder / "log.txt").open("w", encoding="utf-8") as log, redirect_stdout(log):
        trained = run(config, link_latest=False)
    if trained is None:
        raise ConfigError("this process does not write the bundle.", hint="Adapt in one process.")
    return Bundle.read(trained.path)


def evidence_of(trained: Bundle) -> Evidence:
    """The rows that the network was not trained on, and what it says of them."""
    rows = trained.reference()
    nothing = np.zeros((0, rows.logits.shape[1]))
    return Evidence(
        rows.logits.astype(np.float64), rows.labels.astype(bool), rows.known,
        unlabelled=nothing, frequencies=np.full(rows.logits.shape[1], np.nan),
    )  # fmt: skip


def fit_decisions(parent: Parent, trained: Bundle, seed: int) -> Adapted:
    """Decisions for the trained network, starting from the parent's."""
    return adapt(parent, evidence_of(trained), seed)


def estimate_full(
    bundle: Bundle, given: Given, parent: Parent, *, num_folds: int, seed: int, threads: int | None,
    say: Callable[[str], None],
) -> Estimate:  # fmt: skip
    """What training further brings: `num_folds` runs, each judged on the rows that it did not see."""
    assert given.corpus is not None
    corpus, shape = given.corpus, given.evidence.truth.shape
    probabilities, decisions = np.empty(shape), np.empty(shape, dtype=bool)
    for number, (inside, outside) in enumerate(folds(len(corpus), num_folds, seed + 1), start=1):
        say(f"fold {number} of {num_folds}:")
        with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
            trained = train_further(
                bundle, corpus.take(inside), Path(folder), seed=seed, threads=threads, say=say, judged_only=True
            )
            adapted = fit_decisions(parent, trained, seed)
            logits = trained_logits(trained, [corpus.texts[row] for row in outside])
        probabilities[outside], decisions[outside] = adapted.calibration.apply(logits), adapted.decisions(logits)
    return judge(parent, given.evidence, probabilities, decisions, seed)


def trained_logits(bundle: Bundle, texts: list[str]) -> NDArray[np.float64]:
    """Logits of the trained network, in torch, shape (N, L)."""
    from shared.modeling.classifier import load_classifier  # noqa: PLC0415
    from training.model.inference import predict_logits  # noqa: PLC0415

    tokenizer = bundle.tokenizer()
    rows = [row.ids for row in tokenizer.encode(texts)]
    return predict_logits(load_classifier(bundle.path), tokenizer, rows, batch_size=32).astype(np.float64)


def _write_rows(corpus: Corpus, labels: tuple[str, ...], path: Path, seed: int) -> None:
    """The rows as JSON lines, which hold any text, with a split and one column a label, null where it is not known."""
    held_out = np.zeros(len(corpus), bool)
    chosen = np.random.default_rng(seed).permutation(len(corpus))[: max(1, round(DEV_SHARE * len(corpus)))]
    held_out[chosen] = True
    columns: dict[str, Any] = {} if corpus.languages is None else {LANGUAGE: corpus.languages}
    columns |= {
        "text": [str(text) for text in corpus.texts], "split": np.where(held_out, "dev", "train").tolist(),
        CONTEXT_COLUMN: [json.dumps(turns_to_json(context)) for context in corpus.contexts],
    } | {
        name: [int(value) if seen else None for value, seen in zip(values, known, strict=True)]
        for name, values, known in zip(labels, corpus.hard_targets.T.tolist(), corpus.known.T.tolist(), strict=True)
    }  # fmt: skip
    with path.open("w", encoding="ascii") as stream:
        for values in zip(*columns.values(), strict=True):
            stream.write(json.dumps(dict(zip(columns, values, strict=True))) + "\n")
