"""Small drawings of each label, and heat maps of labels against labels, as SVG of a few hundred bytes each.

Lines take the colour of the page's text or a colour of the page (`--bar`), so they suit light, dark and print.
Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.metrics import precision_recall_curve

from training.evaluation.measures import Bools, Floats

POINTS = 60
"""Points of a line: more cannot be seen at this size."""

BINS = 10
CELL = 16
"""Width of a cell of a heat map, in user units."""


def precision_recall(truth: Bools, probabilities: Floats, threshold: float) -> str:
    """Precision over recall of one label, shape (n,) each; a dot where the threshold lies."""
    if not truth.any():
        return ""
    every_precision, every_recall, _ = precision_recall_curve(truth, probabilities)
    recall, place = np.unique(every_recall, return_inverse=True)
    precision = np.zeros(len(recall))
    np.maximum.at(precision, place, every_precision)  # the best precision at each recall
    here = _at(truth, probabilities, threshold)
    dot = _dot(here[1], here[0], "the chosen threshold") if here else ""
    return _panel(_line(*_thinned(recall, precision)) + dot, "recall", "precision")


def f1_over_threshold(truth: Bools, probabilities: Floats, threshold: float) -> str:
    """F1 of one label over the threshold, a line where the chosen one lies (none for NaN)."""
    if not truth.any():
        return ""
    order = np.sort(probabilities[truth]), np.sort(probabilities)
    at = np.linspace(0, 1, POINTS + 1)
    hit, decided = (len(values) - np.searchsorted(values, at, side="left") for values in order)
    f1 = 2 * hit / (decided + truth.sum())
    x = f"{100 * threshold:.1f}"
    mark = "" if np.isnan(threshold) else f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="100"/>'
    return _panel(_line(at, f1) + mark, "threshold", "F1")


def reliability(truth: Bools, probabilities: Floats) -> str:
    """Share of rows with the label over the probability given; the area of a dot grows with the rows in its bin."""
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    mean = np.bincount(place, weights=probabilities, minlength=BINS)
    share = np.bincount(place, weights=truth, minlength=BINS)
    dots = "".join(
        _dot(mean[i] / count[i], share[i] / count[i], f"{count[i]:,} rows", 2 + 5 * np.sqrt(count[i] / count.max()))
        for i in np.flatnonzero(count)
    )
    return _panel('<line class="soft" x1="0" y1="100" x2="100" y2="0"/>' + dots, "probability", "share")


def _at(truth: Bools, probabilities: Floats, threshold: float) -> tuple[float, float] | None:
    decided = probabilities >= threshold
    hit = float((truth & decided).sum())
    return (hit / float(decided.sum()), hit / float(truth.sum())) if decided.any() else None


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).astype(int))
    return x[places], y[places]


def _line(x: Floats, y: Floats) -> str:
    points = " ".join(f"{100 * a:.1f},{100 - 100 * b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}"/>'


def _dot(x: float, y: float, title: str, radius: float = 3.5) -> str:
    return (
        f'<circle cx="{100 * x:.1f}" cy="{100 - 100 * y:.1f}" r="{radius:.1f}"><title>{escape(title)}</title></circle>'
    )


def _panel(content: str, across: str, upwards: str) -> str:
    named = f"{upwards} over {across}"
    return (
        f'<svg class="panel" viewBox="-4 -4 108 124" role="img" aria-label="{named}"><path class="frame" '
        f'd="M0 0V100H100"/>{content}<text x="50" y="117">{named}</text></svg>'
    )


def cluster_order(together: Floats) -> NDArray[np.intp]:
    """Labels in an order that puts those that occur together side by side: average linkage, shape (L,).

    Args:
        together: how often two labels occur together, symmetric, shape (L, L), the diagonal their own counts.
    """
    if len(together) < 3:
        return np.arange(len(together))
    own = np.sqrt(np.maximum(np.diag(together), 1.0))
    near = together / np.outer(own, own)
    upper = np.triu_indices(len(near), 1)
    return np.asarray(leaves_list(linkage(1.0 - np.clip(near[upper], 0, 1), method="average", optimal_ordering=True)))


def heat_map(values: Floats, labels: Sequence[str], counts: Floats, *, down: str, across: str) -> str:
    """Values in 0..1 as shades, the count in each cell's title; cells without a count are left out.

    Args:
        values: shape (L, L), rows downwards.
        labels: in the order drawn.
        counts: shape (L, L).
        down: what the rows are.
        across: what the columns are.
    """
    size, left = len(labels), 12 + 6.2 * max(map(len, labels))
    cells, shades = [], values / max(float(values.max()), 1e-12)
    for i, j in np.argwhere(counts > 0):
        cells.append(
            f'<rect x="{left + CELL * j:.0f}" y="{left + CELL * i:.0f}" fill-opacity="{shades[i, j]:.2f}">'
            f"<title>{escape(labels[i])}, {escape(labels[j])}: {counts[i, j]:,.0f} ({values[i, j]:.0%})</title></rect>"
        )
    rows = "".join(
        f'<text x="{left - 4:.0f}" y="{left + CELL * i + 12:.0f}" text-anchor="end">{escape(name)}</text>'
        for i, name in enumerate(labels)
    )
    columns = "".join(
        f'<text transform="translate({left + CELL * j + 11:.0f} {left - 4:.0f}) rotate(-90)">{escape(name)}</text>'
        for j, name in enumerate(labels)
    )
    whole = left + CELL * size
    return (
        f'<svg class="heat" viewBox="0 0 {whole:.0f} {whole:.0f}" style="max-width:{whole:.0f}px" role="img" '
        f'aria-label="{escape(down)} down, {escape(across)} across">{"".join(cells)}{rows}{columns}</svg>'
    )


def co_occurrence(truth: Bools) -> Floats:
    """Rows that carry both labels, shape (L, L)."""
    y = truth.astype(np.float64)
    return np.asarray(y.T @ y)


def instead(truth: Bools, decisions: Bools, known: Bools) -> Floats:
    """Rows in which label i is true and missed while label j is decided and false, shape (L, L).

    With several labels a row there is no one label that was taken for another: each missed label of a row is paired
    with each wrong decision of that row; a row that misses labels and decides none wrongly counts in no pair.
    """
    missed = (truth & ~decisions & known).astype(np.float64)
    wrong = (~truth & decisions & known).astype(np.float64)
    return np.asarray(missed.T @ wrong)
