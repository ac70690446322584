"""Intervals hold what they promise on rows that they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from shared.intensity import Scale
from training.calibration.conformal import fit_readout, half_width

LABELS = ("joy", "fear")


def drawn(rows: int, seed: int):
    """Logits, and shares that scatter around them: narrowly for joy, widely and unevenly for fear."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, 2)).astype(np.float32)
    noise = np.stack([random.normal(0, 0.05, rows), random.exponential(0.2, rows) * random.choice([-1, 1], rows)], 1)
    return logits, np.clip(1 / (1 + np.exp(-logits)) + noise, 0, 1).astype(np.float32)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_the_coverage_of_new_rows_is_the_level_over_many_draws(level):
    covered = []
    for seed in range(40):
        logits, shares = drawn(100, seed)
        readout = fit_readout(
            logits, shares, np.ones(shares.shape, bool), labels=LABELS, scale=Scale(0, 1), cuts=None, level=level,
            split="dev",
        )  # fmt: skip
        new, gold = drawn(400, 1000 + seed)
        low, high = readout.intervals(readout.intensities(new))
        covered.append(((gold >= low) & (gold <= high)).mean(axis=0))
    mean = np.mean(covered, axis=0)
    # split conformal: between the level and 1 / (n + 1) above it, or two where the quantile falls on a row; the mean of
    # 40 draws scatters by about 0.008
    assert (mean > level - 0.025).all()
    assert (mean < level + 2 / 101 + 0.025).all()


def test_each_label_has_its_own_width_from_the_rows_that_annotate_it():
    logits, shares = drawn(200, 0)
    known = np.ones(shares.shape, bool)
    known[5:, 1] = False
    readout = fit_readout(
        logits, shares, known, labels=LABELS, scale=Scale(0, 3), cuts=None, level=0.9, split="dev"
    )  # fmt: skip
    assert readout.fitted_rows.tolist() == [200, 5]
    assert 3 * 0.05 < readout.half_widths[0] < 3 * 0.12
    assert np.isinf(readout.half_widths[1])


def test_the_width_is_the_quantile_of_the_absolute_residuals():
    residuals = np.array([-0.9, 0.8, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7])
    # the ceil((9 + 1) 0.75) = 8th smallest of 0.1 .. 0.9
    assert half_width(residuals, 0.75) == pytest.approx(0.8)
    assert np.isinf(half_width(residuals, 0.95))
    assert np.isinf(half_width(np.empty(0), 0.5))


@pytest.mark.parametrize(
    ("rows", "level", "rank"), [(9, 0.9, 9), (99, 0.9, 90), (4, 0.8, 4), (19, 0.9, 18), (19, 0.95, 19), (100, 0.9, 91)]
)
def test_the_rank_is_exact_where_the_level_is_no_binary_fraction(rows, level, rank):
    # ceil((rows + 1) level): 9 of 10, 90 of 100, 4 of 5, 18 of 20, 19 of 20, 90.9 of 101
    assert half_width(np.arange(1.0, rows + 1), level) == rank
    assert np.isinf(half_width(np.arange(1.0, rows), level)) == (rank == rows)
