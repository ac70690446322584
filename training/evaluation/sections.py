"""What the report says of one split, as plain values and drawings for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.calibration import Calibration
from shared.thresholds import Policies
from training.data.corpus import Corpus
from training.evaluation import panels, plots
from training.evaluation.label_errors import candidates
from training.evaluation.measures import Bools, Floats, Predictions, entry_losses
from training.evaluation.scoring import SplitPredictions
from training.evaluation.slices import TokenCounts, slices

CONFUSIONS = 12
WORST = 30
LARGEST_MATRIX = 40
"""Labels up to which matrices are drawn; `metrics.json` holds that of single-label tasks in any case."""

DRAWN_ROWS = 50_000
"""Rows that curves and diagrams are drawn from; of more, a random sample of that size."""


@dataclass(frozen=True)
class Scored:
    """A split with its metrics and all that the report shows of it.

    Attributes:
        name: of the split, or of the corpus and its split.
        rows: predictions under the default policy, N rows.
        metrics: as `scoring.score` gives them.
        labels: names of the L columns.
        thresholds: of the default policy, shape (L,).
        fitted_here: whether calibration and thresholds were fitted on this split.
        uncalibrated: probabilities before calibration, shape (N, L), where there are some.
        corpus: the texts, their names and sources; without it nothing is said of single rows.
        tokens: of the texts.
        texts_per_s: how fast the logits came.
    """

    name: str
    rows: Predictions
    metrics: Mapping[str, Any]
    labels: Sequence[str]
    thresholds: Floats
    fitted_here: bool = False
    uncalibrated: Floats | None = None
    corpus: Corpus | None = None
    tokens: TokenCounts | None = None
    texts_per_s: float | None = None

    @classmethod
    def of(
        cls, split: SplitPredictions, metrics: Mapping[str, Any], calibration: Calibration, policies: Policies,
        **further: Any,
    ) -> Scored:  # fmt: skip
        """A split of a model's own labels beside its metrics."""
        probabilities = calibration.apply(split.logits)
        identity = Calibration.identity(len(policies.labels), calibration.activation)
        rows = Predictions(split.truth, split.known, probabilities, policies.decide(probabilities))
        return cls(
            split.name, rows, metrics, policies.labels, policies.get(), policies.fitted_on == split.name,
            identity.apply(split.logits), **further,
        )  # fmt: skip


def row_losses(rows: Predictions) -> Floats:
    """Mean NLL of the known entries of each row, shape (N,); 0 for a row without any."""
    return np.asarray(entry_losses(rows).sum(axis=1) / np.maximum(rows.known.sum(axis=1), 1))


def describe(item: Scored, train_support: Mapping[str, int], *, texts: bool = True) -> dict[str, Any]:
    """Everything the template shows of a split.

    Args:
        item: the split.
        train_support: rows of every label in training.
        texts: whether single texts may be shown.
    """
    metrics, drawn = item.metrics, _sample(item)
    intervals = metrics.get("intervals", {})
    f1 = {name: row["f1"] for name, row in metrics["per_label"].items() if row["f1"] is not None}
    given = {"calibrated": drawn.rows.probabilities}
    if drawn.uncalibrated is not None:
        given["uncalibrated"] = drawn.uncalibrated
    return {
        "name": item.name, "metrics": metrics, "fitted_here": item.fitted_here, "texts_per_s": item.texts_per_s,
        "anchor": "split-" + "".join(sign if sign.isalnum() else "-" for sign in item.name),
        "headline": headline(metrics), "further": further(metrics), "probability_rows": _probability_rows(metrics),
        "reliability": plots.reliability(drawn.rows.truth, drawn.rows.known, given),
        "label_rows": _label_rows(item, train_support),
        "bars": plots.label_bars(f1, intervals.get("per_label", {})),
        "panels": _panels(drawn), "matrix": _matrix(metrics, item.labels), "heat": _heat_maps(item.rows, item.labels),
        "confusions": confusions(item.rows, item.labels),
        "deletion": plots.deletion(metrics["faithfulness"]) if "faithfulness" in metrics else "",
        "months": plots.months(metrics["over_time"]) if "over_time" in metrics else "",
        "levels": metrics.get("levels", {}), "slices": slice_rows(item), **_single_rows(item, texts=texts),
    }  # fmt: skip


def _sample(item: Scored) -> Scored:
    """The split, or a random part of a large one for drawings."""
    if len(item.rows) <= DRAWN_ROWS:
        return item
    places = np.sort(np.random.default_rng(0).choice(len(item.rows), DRAWN_ROWS, replace=False))
    uncalibrated = None if item.uncalibrated is None else item.uncalibrated[places]
    return Scored(item.name, item.rows.take(places), item.metrics, item.labels, item.thresholds, False, uncalibrated)


def headline(metrics: Mapping[str, Any]) -> list[tuple[str, float | None, str]]:
    """Title, value and interval of the metrics that stand on top."""
    shown = {
        "macro_f1": "macro F1", "micro_f1": "micro F1", "samples_f1": "samples F1", "macro_ap": "mean AP",
        "brier": "Brier score", "nll": "NLL",
    }  # fmt: skip
    if "accuracy" in metrics:
        shown = {"accuracy": "accuracy", "weighted_f1": "weighted F1", **shown}
    return _shown(metrics, shown)


def further(metrics: Mapping[str, Any]) -> list[tuple[str, float | None, str]]:
    """Title, value and interval of all other metrics."""
    shown = {
        "weighted_f1": "weighted F1", "subset_accuracy": "subset accuracy (all labels of a row right)",
        "macro_roc_auc": "mean ROC AUC", "lrap": "label ranking average precision",
        "coverage_error": "coverage error (labels to go down to find all)",
        "ece_pooled": "calibration error, pooled", "ece_classwise": "calibration error, classwise",
    }  # fmt: skip
    return _shown(metrics, {key: title for key, title in shown.items() if key in metrics})


def _shown(metrics: Mapping[str, Any], titles: Mapping[str, str]) -> list[tuple[str, float | None, str]]:
    intervals = metrics.get("intervals", {})
    return [(title, metrics[key], span(intervals.get(key))) for key, title in titles.items()]


def span(interval: Sequence[float] | None) -> str:
    """An interval in words, "" where there is none."""
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def _probability_rows(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float], bool]]:
    titles = {
        "uncalibrated": "without calibration", "train_prior": "baseline: train prior",
        "reference_prior": "baseline: frequencies of the bundle's reference rows",
    }  # fmt: skip
    return [("calibrated", metrics, False), *((titles[name], row, True) for name, row in metrics["baselines"].items())]


def _label_rows(item: Scored, train_support: Mapping[str, int]) -> list[dict[str, Any]]:
    intervals = item.metrics.get("intervals", {}).get("per_label", {})
    thresholds = dict(zip(item.labels, item.thresholds.tolist(), strict=True))
    return [
        {
            "name": name, "threshold": thresholds[name], "interval": span(intervals.get(name)),
            "train_support": train_support.get(name), **row,
        }
        for name, row in item.metrics["per_label"].items()
    ]  # fmt: skip


def _panels(item: Scored) -> list[tuple[str, int, str, str, str]]:
    """Label, its rows, and its three drawings, of the labels that are annotated."""
    found = []
    for place, name in enumerate(item.labels):
        known = item.rows.known[:, place]
        if not known.any():
            continue
        y, p, t = item.rows.truth[known, place], item.rows.probabilities[known, place], float(item.thresholds[place])
        drawn = (panels.precision_recall(y, p, t), panels.f1_over_threshold(y, p, t), panels.reliability(y, p))
        found.append((name, int(y.sum()), *drawn))
    return found


def _matrix(metrics: Mapping[str, Any], labels: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Rows of the confusion matrix, true label and counts by decided label; empty where there is none to draw."""
    table = metrics.get("confusion_matrix")
    if table is None or len(labels) > LARGEST_MATRIX:
        return []
    return [(name, [table.get(name, {}).get(decided, 0) for decided in labels]) for name in labels]


def _heat_maps(rows: Predictions, labels: Sequence[str]) -> dict[str, str]:
    """Which labels occur together, and what is decided where one is missed, in one order."""
    if not 3 <= len(labels) <= LARGEST_MATRIX:
        return {}
    truth = rows.truth & rows.known
    together, taken = panels.co_occurrence(truth), panels.instead(rows.truth, rows.decisions, rows.known)
    order = panels.cluster_order(together)
    names, own = [labels[place] for place in order], np.maximum(np.diag(together), 1.0)[order]
    together, taken = together[np.ix_(order, order)], taken[np.ix_(order, order)]
    apart = together * (1 - np.eye(len(order)))
    missed = np.maximum((rows.truth & ~rows.decisions & rows.known).sum(axis=0)[order], 1)
    return {
        "together": panels.heat_map(apart / own[:, None], names, apart, down="label", across="also there"),
        "instead": panels.heat_map(
            taken / missed[:, None], names, taken, down="missed label", across="decided wrongly"
        ),
    }


def slice_rows(item: Scored) -> list[dict[str, Any]]:
    """The table of slices; empty where the texts are not at hand."""
    if item.corpus is None or item.tokens is None:
        return []
    corpus = item.corpus
    return slices(item.rows, corpus.texts, corpus.source, item.tokens, languages=corpus.languages)


def _single_rows(item: Scored, *, texts: bool) -> dict[str, Any]:
    """The worst errors and the rows whose labels may be wrong."""
    if item.corpus is None:
        return {"worst": [], "label_errors": []}
    losses, shown = row_losses(item.rows), item.corpus.texts if texts else []
    worst = [
        {
            "id": item.corpus.ids[place], "text": shown[place] if texts else None, "loss": float(losses[place]),
            "true": _named(item, item.rows.truth[place] & item.rows.known[place], place),
            "decided": _named(item, item.rows.decisions[place], place),
        }
        for place in np.argsort(-losses, kind="stable")[:WORST]
    ]  # fmt: skip
    return {"worst": worst, "label_errors": candidates(item.rows, losses, item.labels, shown, item.corpus.ids)}


def _named(item: Scored, chosen: Bools, place: int) -> str:
    p = item.rows.probabilities[place]
    return ", ".join(f"{item.labels[column]} {p[column]:.2f}" for column in np.flatnonzero(chosen).tolist()) or "none"


def confusions(rows: Predictions, labels: Sequence[str], limit: int = CONFUSIONS) -> list[tuple[str, str, int]]:
    """Pairs of a missed label and one decided wrongly in the same row, the most frequent first.

    Args:
        rows: predictions.
        labels: names of the L columns.
        limit: most pairs.
    """
    table = panels.instead(rows.truth, rows.decisions, rows.known)
    order = np.argsort(-table, axis=None, kind="stable")[:limit]
    pairs = [np.unravel_index(int(place), table.shape) for place in order]
    return [(labels[int(i)], labels[int(j)], int(table[i, j])) for i, j in pairs if table[i, j]]
