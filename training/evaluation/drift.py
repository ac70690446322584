"""A table of served predictions against the bundle's reference rows: what moved, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, fisher_exact

from shared.bundle import Bundle
from shared.drift import FEWEST_TEXTS, Histograms, population_stability_index
from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from shared.files import write_json
from shared.tables import open_table
from shared.task import require_labels
from training.config.evaluate import DriftOptions
from training.data.sources.dates import read_dates
from training.evaluation import plots
from training.evaluation.over_time import drift_over_periods, months, verdict
from training.evaluation.report import environment
from training.evaluation.results_folder import results_folder, written_into

TEXT_COLUMNS = ("text", "texts", "sentence", "content")


def evaluate_drift(path: Path, log: Path, options: DriftOptions) -> dict[str, Any]:
    """Compare served predictions with the reference rows, ready for JSON.

    Args:
        path: folder of the bundle.
        log: a table with a column `p_LABEL` for every label, as `emotion predict` and `emotion evaluate` write it.
        options: columns, and where to write.

    Raises:
        BundleError: when the bundle cannot be used.
        ConfigError: when the results cannot be written where they shall be.
        DataNotFoundError: when there is no table.
        DataFormatError: when it lacks columns, or a cell is no probability or no date.
        EmptyDataError: when no row has probabilities.
    """
    target = results_folder(options.output)
    bundle = Bundle.read(path, weights=False)
    require_labels(bundle.task, "emotion drift")
    if not log.is_file():
        raise DataNotFoundError(
            f"no table at {log.absolute()}.", hint="Make one with: emotion predict --input F --output G"
        )
    table = open_table(log)
    columns = table.read_all().columns
    probabilities, kept = _probabilities(columns, bundle, str(log))
    lengths = _lengths(columns, kept, bundle, options.text_column)
    bins = Histograms.of(bundle)
    counts = bins.counts(probabilities, lengths)
    indices = {name: population_stability_index(bins.expected[name], values) for name, values in counts.items()}
    rows, before = len(kept), int(bins.expected["confidence"].sum())
    verdicts = {name: {"index": value, "verdict": verdict(value, min(rows, before))} for name, value in indices.items()}
    result: dict[str, Any] = {
        "bundle": str(bundle.path), "seal": bundle.seal, "log": str(log), "rows": rows,
        "rows_without_prediction": len(next(iter(columns.values()))) - rows,
        "notes": _notes(rows, before), "indices": verdicts,
        "labels": _label_rates(bundle, bins, counts["labels"], rows, before),
        "over_time": None,
    }  # fmt: skip
    if options.date_column is not None:
        if options.date_column not in columns:
            raise DataFormatError(f"{log} has no column '{options.date_column}'; it has {', '.join(columns)}.")
        cells = [columns[options.date_column][row] for row in kept]
        dates = read_dates(cells, f"{log}, column '{options.date_column}'")
        result["over_time"] = drift_over_periods(months(dates), probabilities, lengths, bins)
    if target is not None:
        with written_into(target) as folder:
            write_json(folder / "drift.json", result)
            drawn = plots.months(result["over_time"]) if result["over_time"] else ""
            page = environment().get_template("drift.html.j2").render(result=result, months=drawn, fewest=FEWEST_TEXTS)
            (folder / "report.html").write_text(page, encoding="utf-8")
    return result


def _probabilities(
    columns: Mapping[str, Sequence[Any]], bundle: Bundle, where: str
) -> tuple[NDArray[np.float64], list[int]]:
    """Probabilities, shape (N, L), and the rows that have them."""
    names = [f"p_{name}" for name in bundle.label_set.names]
    missing = [name for name in names if name not in columns]
    if missing:
        raise DataFormatError(
            f"{where} lacks the columns {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; expected is one "
            f"p_LABEL for each of the bundle's {len(names)} labels.",
            hint="Write such a table with: emotion predict BUNDLE --input F --output G",
        )
    kept = [row for row, value in enumerate(columns[names[0]]) if value not in (None, "")]
    if not kept:
        raise EmptyDataError(f"{where} has no row with probabilities.")
    try:
        found = np.array([[float(columns[name][row]) for name in names] for row in kept])
    except (TypeError, ValueError) as error:
        raise DataFormatError(f"{where} holds a probability that is no number ({error}).") from None
    if not ((found >= 0) & (found <= 1)).all():
        raise DataFormatError(f"{where} holds probabilities outside 0..1.")
    return found, kept


def _lengths(
    columns: Mapping[str, Sequence[Any]], kept: Sequence[int], bundle: Bundle, named: str | None
) -> NDArray[np.float64] | None:
    """Tokens of each text; None where the table has no texts."""
    if named is not None and named not in columns:
        raise DataFormatError(f"the table has no column '{named}'; it has {', '.join(columns)}.")
    column = named or next((name for name in TEXT_COLUMNS if name in columns), None)
    if column is None:
        return None
    texts = [str(columns[column][row] or "") for row in kept]
    return np.array([row.num_tokens for row in bundle.tokenizer().encode(texts)], dtype=np.float64)


def _notes(rows: int, before: int) -> list[str]:
    """What is to be said where an index has no verdict."""
    if min(rows, before) >= FEWEST_TEXTS:
        return []
    return [
        f"{rows:,} predictions and {before:,} reference rows are too few to tell drift from chance: "
        f"{FEWEST_TEXTS} of each are needed"
    ]


def _label_rates(
    bundle: Bundle, bins: Histograms, counts: NDArray[np.float64], rows: int, before: int
) -> dict[str, Any]:
    """Label -> share of texts before and now, and p of "they are equal" (Fisher's exact test, corrected for all)."""
    expected = bins.expected["labels"]
    names = [*bundle.label_set.names, "(no label)"]
    p = [
        fisher_exact([[counts[i], rows - counts[i]], [expected[i], before - expected[i]]]).pvalue
        for i in range(len(names))
    ]  # fmt: skip
    adjusted = false_discovery_control(np.clip(p, 0, 1))
    return {
        name: {
            "reference": float(expected[i] / before), "now": float(counts[i] / rows), "p_adjusted": float(adjusted[i]),
        }
        for i, name in enumerate(names)
    }  # fmt: skip
