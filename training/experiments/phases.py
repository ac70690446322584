"""Which loss: several on a subset, the best few for longer on more rows, one chosen on dev."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.files import write_json
from training.config import Config, LossConfig
from training.config.experiments import PhasesOptions
from training.experiments.results import as_text, row_of, write_comparison, write_plot, write_results
from training.experiments.trials import Outcome, base_config, experiment_folder, make_trial, run_trials

BASELINE = "bce"
POLICIES = ("fixed_0.2", "f1")
"""The two ways of deciding that phase 2 looks at: one fixed threshold, and those tuned on dev."""


def candidates(loss: LossConfig) -> dict[str, LossConfig]:
    """The losses compared; options other than name and ratio are those configured."""
    combined = {f"combined-{ratio}": replace(loss, name="combined", ratio=ratio) for ratio in (0.7, 0.5, 0.3)}
    return {BASELINE: replace(loss, name="bce"), "asymmetric": replace(loss, name="asymmetric"), **combined}


def run_phases(options: PhasesOptions) -> str:
    """Run what is not finished yet and write table, plot and choice; the text is returned.

    Everything is chosen by macro F1 on dev with tuned thresholds; test is only reported.

    Raises:
        EmotionError: whatever a run raises.
    """
    config, folder, sizes = base_config(options), experiment_folder(options, "phases"), options.phases
    losses = candidates(config.loss)
    screen = _limited(config, sizes.screen_rows, sizes.screen_epochs)
    screened = run_trials([make_trial(screen, folder / "phase1", name, loss=loss) for name, loss in losses.items()])
    analysis = analyse(screened, sizes.baseline)
    best = ranked(screened)[: sizes.keep]
    longer = _limited(config, sizes.final_rows, sizes.final_epochs)
    final = run_trials([make_trial(longer, folder / "phase3", one.name, loss=losses[one.name]) for one in best])
    chosen = ranked(final)[0]
    return _write(folder, screened, analysis, final, chosen)


def _limited(config: Config, rows: int, epochs: float) -> Config:
    data, optim = replace(config.data, max_train_rows=rows), replace(config.optim, epochs=epochs, max_steps=None)
    return replace(config, data=data, optim=optim)


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The best macro F1 on dev first; the earlier of two equal ones first."""
    return sorted(outcomes, key=lambda outcome: -outcome.metric())


def analyse(outcomes: Sequence[Outcome], baseline: float | None = None) -> list[dict[str, Any]]:
    """Phase 2: macro F1 on dev at threshold 0.2 and with tuned thresholds, and how much is gained over the baseline.

    Args:
        outcomes: the runs of phase 1.
        baseline: macro F1 to compare with; that of bce, decided in the same way, when None.
    """
    plain = next(outcome for outcome in outcomes if outcome.name == BASELINE)
    rows = []
    for outcome in outcomes:
        row: dict[str, Any] = {"run": outcome.name}
        for policy in POLICIES:
            found = _macro_f1(outcome, policy)
            row[policy] = found
            row[f"{policy}_gain"] = found - (_macro_f1(plain, policy) if baseline is None else baseline)
        rows.append(row)
    return rows


def _macro_f1(outcome: Outcome, policy: str) -> float:
    return float(outcome.metrics["dev"]["policies"][policy]["macro_f1"])


def _write(
    folder: Path, screened: list[Outcome], analysis: list[dict[str, Any]], final: list[Outcome], chosen: Outcome
) -> str:
    """Phase 4: every metric of every run, and which was chosen."""
    rows = [row_of(outcome, phase=phase) for phase, part in ((1, screened), (3, final)) for outcome in part]
    runs = {f"{phase}: {outcome.name}": outcome for phase, part in ((1, screened), (3, final)) for outcome in part}
    intervals = {name: outcome.metrics["dev"].get("intervals", {}).get("macro_f1") for name, outcome in runs.items()}
    write_plot(
        folder, {name: outcome.metric() for name, outcome in runs.items()}, label="macro F1 on dev (phase: loss)",
        intervals={name: interval for name, interval in intervals.items() if interval},
    )  # fmt: skip
    choice = {"loss": chosen.name, "dev_macro_f1": chosen.metric(), "bundle": str(chosen.bundle)}
    write_json(folder / "choice.json", choice)
    lines = [
        "", "Phase 2: macro F1 on dev at threshold 0.2 and with tuned thresholds, and the gain over the baseline",
        as_text(analysis, list(analysis[0])), "",
        f"Chosen by macro F1 on dev: {chosen.name} ({chosen.metric():.4f}), {chosen.bundle}",
        *write_comparison(folder, ranked(final)),
    ]  # fmt: skip
    return write_results(folder, rows, lines=lines, analysis=analysis, choice=choice)
