"""What adapting brings on other texts, level by level, beside SetFit where it is installed: on the same rows.

    python -m benchmarks.adapting BUNDLE --source goemotions --path DIR --split dev --rows 50 200 --draws 5

Each draw cuts the rows in two: from one half rows are labelled, drawn at random or suggested, and the rest of it are
texts without labels; the other half judges. Macro F1 over the labels that occur in it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.exporting.last_layer import pooled_vectors
from serving.predictor import Predictor
from shared.cli import CommandParser, positive, run_command
from shared.errors import ConfigError
from training.adapting.adapt import Adapted, Evidence, Parent, adapt, present_macro_f1
from training.adapting.child import parent_of
from training.adapting.head import adapt_head
from training.adapting.recalibration import FOLDS, folds
from training.adapting.suggestion import suggest
from training.calibration.policies import count_on_grid, f1_thresholds
from training.config.evaluate import EvaluationData
from training.data.load import load_eval_split

MOST_TEXTS = 2000
"""Rows of each half."""

LOGISTIC_C = (0.03, 0.3)
"""Inverse strengths of the ridge of scikit-learn's logistic regression on the vectors."""

SETFIT_THRESHOLDS = (0.5, 0.3)
"""SetFit has none of its own; 0.5 is what its `predict` uses. The first one's seconds are those of its training."""


@dataclass(frozen=True)
class Rows:
    """N labelled texts and what the bundle's model says of them."""

    texts: list[str]
    evidence: Evidence

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Some of them."""
        return Rows([self.texts[row] for row in rows], self.evidence.take(rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of means over the draws."""
    parser = CommandParser(prog="benchmarks.adapting", description=str(__doc__).partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--source", default="table", help="kind of the corpus, as data.source")
    parser.add_argument("--path", required=True, help="its file or folder")
    parser.add_argument("--split", help="train, dev, test or all")
    parser.add_argument("--rows", type=positive, nargs="+", default=[50, 200], help="numbers of labelled rows")
    parser.add_argument("--draws", type=positive, default=5)
    parser.add_argument("--head", action="store_true", help="the level head too, and logistic regression")
    parser.add_argument("--setfit", metavar="ENCODER", help="also train SetFit from this encoder's folder")
    parser.add_argument(
        "--setfit-iterations", type=positive, metavar="N", help="pairs of each kind a row; all if left out"
    )
    parser.add_argument("--threads", type=positive)
    options = parser.parse_args(arguments)
    if options.setfit and find_spec("setfit") is None:
        raise ConfigError(
            "SetFit is not installed.", hint="Install it in an environment of its own: pip install setfit"
        )
    predictor = Predictor.load(options.bundle, threads=options.threads)
    rows = read_rows(predictor, EvaluationData(source=options.source, path=options.path), options.split)
    parent = parent_of(predictor.bundle)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for draw in range(options.draws):
        order = np.random.default_rng(draw).permutation(len(rows.texts))
        half = min(MOST_TEXTS, len(order) // 2)
        pool, judge = rows.take(order[:half]), rows.take(order[half : 2 * half])
        for count in options.rows:
            compared = contenders(parent, pool, count, draw, head=options.head)
            if options.setfit:
                compared |= setfit(options.setfit, random_rows(pool, count, draw), draw, options.setfit_iterations)
            for name, fit in compared.items():
                started = time.perf_counter()
                score = fit(judge)
                found.setdefault((name, count), []).append((score, time.perf_counter() - started))
        sys.stderr.write(f"draw {draw + 1} of {options.draws}\n")
    sys.stdout.write(table(found))


def read_rows(predictor: Predictor, data: EvaluationData, split: str | None) -> Rows:
    """The rows of a corpus, read by the bundle's model."""
    corpus = load_eval_split(data, split, predictor.bundle.label_set).rows
    pooled, logits = pooled_vectors(predictor, corpus.texts)
    width = len(predictor.labels)
    nothing, unsaid = np.zeros((0, width)), np.full(width, np.nan)
    evidence = Evidence(logits.astype(np.float64), corpus.hard_targets, corpus.known, nothing, unsaid, pooled)
    return Rows(list(corpus.texts), evidence)


def random_rows(pool: Rows, count: int, seed: int) -> Rows:
    """The rows that are labelled where none are suggested."""
    return pool.take(np.random.default_rng(1000 + seed).choice(len(pool.texts), count, replace=False))


def contenders(
    parent: Parent, pool: Rows, count: int, seed: int, *, head: bool
) -> dict[str, Callable[[Rows], float]]:  # fmt: skip
    """Name -> what fits on the pool and gives its macro F1 on other rows."""
    texts = pool.evidence.logits
    alone = replace(pool.evidence.take(np.arange(0)), unlabelled=texts)
    scores = adapt(parent, alone).calibration.scores(texts)
    chosen = suggest(scores, pool.evidence.pooled, pool.texts, count, seed=seed)
    drawn, suggested = random_rows(pool, count, seed).evidence, pool.evidence.take(chosen)
    shares = replace(alone, unlabelled=texts[:0], frequencies=pool.evidence.truth.mean(axis=0).clip(1e-4, 1 - 1e-4))

    def judged(fit: Callable[[], Adapted]) -> Callable[[Rows], float]:
        return lambda judge: _macro_f1(fit(), judge.evidence)

    found = {
        "as shipped": lambda judge: _macro_f1(parent, judge.evidence),
        "texts alone": judged(lambda: adapt(parent, alone)),
        "frequencies": judged(lambda: adapt(parent, shares)),
        "plain F1 thresholds, random rows": lambda judge: _decided(
            judge.evidence, parent.calibration.apply(judge.evidence.logits), _plain(parent, drawn)
        ),
        "thresholds, random rows": judged(lambda: adapt(parent, drawn)),
        "thresholds, random rows and the texts": judged(lambda: adapt(parent, replace(drawn, unlabelled=texts))),
        "thresholds, suggested rows": judged(lambda: adapt(parent, suggested)),
        "thresholds, suggested rows and the texts": judged(lambda: adapt(parent, replace(suggested, unlabelled=texts))),
    }
    if head:
        found["head, random rows"] = judged(lambda: adapt_head(parent, drawn))
        found["head, random rows and the texts"] = judged(lambda: adapt_head(parent, replace(drawn, unlabelled=texts)))
        found["head, suggested rows and the texts"] = judged(
            lambda: adapt_head(parent, replace(suggested, unlabelled=texts))
        )
        for c in LOGISTIC_C:
            found[f"logistic regression, C = {c}, random rows"] = _logistic(drawn, c, seed)
    return found


def _macro_f1(decided: Parent | Adapted, rows: Evidence) -> float:
    logits = decided.logits(rows) if isinstance(decided, Adapted) else rows.logits
    return present_macro_f1(rows.truth, decided.decisions(logits), rows.known)


def _decided(rows: Evidence, probabilities: NDArray[np.float64], thresholds: NDArray[np.float64]) -> float:
    return present_macro_f1(rows.truth, probabilities >= thresholds, rows.known)


def _plain(parent: Parent, rows: Evidence) -> NDArray[np.float64]:
    """Thresholds of the best F1 on the rows, label by label."""
    return f1_thresholds(count_on_grid(rows.truth, parent.calibration.apply(rows.logits), rows.known), 0.0)


def _logistic(rows: Evidence, c: float, seed: int) -> Callable[[Rows], float]:
    """Logistic regression of each label on the vectors, and thresholds of the best F1 on what it says of rows left out.

    Every cell must be known; a label that only ever is, or is not, keeps its share as probability.
    """

    def fitted(inside: Evidence, outside: Evidence) -> NDArray[np.float64]:
        from sklearn.linear_model import LogisticRegression

        found = np.tile(inside.truth.mean(axis=0), (len(outside.logits), 1))
        for label in np.flatnonzero(inside.truth.any(axis=0) & ~inside.truth.all(axis=0)):
            model = LogisticRegression(C=c, max_iter=1000).fit(inside.pooled, inside.truth[:, label])
            found[:, label] = model.predict_proba(outside.pooled)[:, 1]
        return found

    def judged(judge: Rows) -> float:
        left_out = np.empty(rows.truth.shape)
        for inside, outside in folds(len(rows.logits), FOLDS, seed):
            left_out[outside] = fitted(rows.take(inside), rows.take(outside))
        thresholds = f1_thresholds(count_on_grid(rows.truth, left_out, rows.known), 0.0)
        return _decided(judge.evidence, fitted(rows, judge.evidence), thresholds)

    return judged


def setfit(
    encoder: str, rows: Rows, seed: int, iterations: int | None = None
) -> dict[str, Callable[[Rows], float]]:  # fmt: skip
    """SetFit (Tunstall et al. 2022), one head a label that occurs in the rows; trained once.

    Its defaults, but for `iterations`: so many positive and negative pairs a row, in place of all pairs.
    """
    truth = rows.evidence.truth
    occurs = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))

    @cache
    def trained() -> Any:
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        model = SetFitModel.from_pretrained(encoder, multi_target_strategy="one-vs-rest")
        labels = truth[:, occurs].astype(int).tolist()
        with tempfile.TemporaryDirectory() as checkpoints:
            options = TrainingArguments(
                output_dir=checkpoints, seed=seed, report_to="none", num_iterations=iterations
            )  # fmt: skip
            data = Dataset.from_dict({"text": rows.texts, "label": labels})
            Trainer(model, options, train_dataset=data).train()
        return model

    def judged(judge: Rows, threshold: float) -> float:
        probabilities = np.zeros(judge.evidence.truth.shape)
        probabilities[:, occurs] = trained().predict_proba(judge.texts, as_numpy=True)
        return _decided(judge.evidence, probabilities, np.full(truth.shape[1], threshold))

    return {f"SetFit at {threshold}": partial(judged, threshold=threshold) for threshold in SETFIT_THRESHOLDS}


def table(found: dict[tuple[str, int], list[tuple[float, float]]]) -> str:
    """Means over the draws, in Markdown."""
    lines = ["| | rows | macro F1 | standard deviation | seconds |", "|---|---|---|---|---|"]
    for (name, count), draws in found.items():
        scores, seconds = np.array(draws).T
        spread = scores.std(ddof=1) if len(scores) > 1 else 0.0
        lines.append(f"| {name} | {count} | {scores.mean():.3f} | {spread:.3f} | {seconds.mean():.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_command(main)
