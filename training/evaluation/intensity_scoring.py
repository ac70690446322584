"""The metrics of a split in the task intensity, and its rows as a file; nothing here needs torch.

Shapes: N rows, L labels, S resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from shared.intensity import Readout
from shared.intensity_metrics import evaluate_intensities, pearson
from shared.tables.values import for_csv
from training.data.corpus import Corpus
from training.evaluation.resampling import LEVEL

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredIntensities:
    """A split with its metrics and what the report shows of it.

    Attributes:
        name: of the split, or of the corpus and its split.
        metrics: as `score_intensities` gives them.
        labels: names of the L columns.
        corpus: the texts, their names and sources, N rows.
        gold: annotated intensities on the scale, shape (N, L).
        found: predicted ones, shape (N, L).
        ends: lower and upper ends of the intervals, both of shape (N, L).
        fitted_here: whether the intervals were fitted on this split.
        texts_per_s: how fast the logits came.
    """

    name: str
    metrics: Mapping[str, Any]
    labels: Sequence[str]
    corpus: Corpus
    gold: Floats
    found: Floats
    ends: tuple[Floats, Floats]
    fitted_here: bool = False
    texts_per_s: float | None = None


def scored_of(
    name: str, corpus: Corpus, logits: NDArray[np.float32], readout: Readout, metrics: Mapping[str, Any], **about: Any
) -> ScoredIntensities:
    """A split beside its metrics."""
    found = readout.intensities(logits)
    fitted = about.pop("fitted_here", name == readout.fitted_on)
    return ScoredIntensities(
        name, metrics, readout.labels, corpus, readout.scale.values(corpus.targets), found, readout.intervals(found),
        fitted, **about,
    )  # fmt: skip


def score_intensities(
    corpus: Corpus, logits: NDArray[np.float32], readout: Readout, *,
    mean: Floats | None = None, samples: int = 0, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """All metrics of a split, ready for JSON.

    Args:
        corpus: annotated rows.
        logits: of the model, shape (N, L).
        readout: what they mean.
        mean: mean share of every label in training, shape (L,): predicting it is the baseline.
        samples: S, bootstrap resamples of the rows; 0 leaves the intervals of the metrics out.
        seed: of the resampling.
    """
    gold, found = readout.scale.values(corpus.targets), readout.intensities(logits)
    result = evaluate_intensities(
        gold, found, corpus.known, readout.labels, readout.scale,
        levels=readout.levels(logits), intervals=readout.intervals(found),
    )  # fmt: skip
    result["interval_level"] = readout.interval_level
    if mean is not None:
        constant = np.broadcast_to(readout.scale.values(mean), gold.shape)
        base = evaluate_intensities(gold, constant, corpus.known, readout.labels, readout.scale)
        result["baselines"] = {"train_mean": {name: base[name] for name in ("mae", "rmse")}}
    if samples:
        result["intervals"] = _bootstrap(gold, found, corpus.known, readout.labels, samples=samples, seed=seed)
    return result


def _bootstrap(
    gold: Floats, found: Floats, known: Bools, labels: Sequence[str], *, samples: int, seed: int
) -> dict[str, Any]:
    """Percentile intervals of Pearson's r by resampling rows (Efron 1979), of each label and of their mean."""
    random, draws = np.random.default_rng(seed), np.full((samples, len(labels)), np.nan)
    for draw in range(samples):
        rows = random.integers(0, len(gold), len(gold))
        for place in range(len(labels)):
            chosen = rows[known[rows, place]]
            value = pearson(gold[chosen, place], found[chosen, place])
            draws[draw, place] = np.nan if value is None else value
    tail = (1 - LEVEL) / 2

    def ends(values: Floats) -> list[float] | None:
        there = values[~np.isnan(values)]
        return [float(end) for end in np.quantile(there, (tail, 1 - tail))] if len(there) else None

    defined = ~np.isnan(draws)
    means = np.divide(
        np.nansum(draws, axis=1), defined.sum(axis=1), out=np.full(samples, np.nan), where=defined.any(axis=1)
    )
    per_label = {name: ends(draws[:, place]) for place, name in enumerate(labels)}
    return {"level": LEVEL, "pearson": ends(means), "per_label": per_label}


def write_intensity_rows(path: Path, scored: Sequence[ScoredIntensities], *, texts: bool) -> None:
    """A CSV file with a line for every row: part, id, source, text, and for each label gold, intensity and interval.

    Args:
        path: the file.
        scored: the splits, all with the same labels.
        texts: whether the texts are written.
    """
    tables = []
    for item in scored:
        columns: dict[str, Any] = {
            "part": [item.name] * len(item.corpus), "id": list(map(for_csv, item.corpus.ids)),
            "source": item.corpus.source,
        }  # fmt: skip
        if texts:
            columns["text"] = list(map(for_csv, item.corpus.texts))
        for place, name in enumerate(item.labels):
            columns[f"gold_{name}"] = pa.array(
                np.round(item.gold[:, place], 6), mask=~item.corpus.known[:, place]
            )  # fmt: skip
            columns[f"i_{name}"] = np.round(item.found[:, place], 6)
            columns[f"i_{name}_low"], columns[f"i_{name}_high"] = (np.round(end[:, place], 6) for end in item.ends)
        tables.append(pa.table(columns))
    if tables:
        pa_csv.write_csv(pa.concat_tables(tables), str(path))
