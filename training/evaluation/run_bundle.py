"""The bundle of a run, with its report and model card."""

from __future__ import annotations

import yaml

from shared.bundle import Bundle
from training.config import Config
from training.data.corpus import Splits
from training.distill.teachers import describe_teachers
from training.evaluation.model_card import render_model_card
from training.evaluation.publish import Trained, describe_origin, publish
from training.evaluation.report import Scored, render_report
from training.loop.train import Progress
from training.model.classifier import pooling_of
from training.runtime import processes
from training.runtime.run_folder import RunFolder


def publish_run(
    folder: RunFolder, trained: Trained, scored: list[Scored], *, config: Config, data: Splits, progress: Progress
) -> Bundle:
    """Report, model card and the sealed bundle.

    Args:
        folder: of the run.
        trained: the model with what was fitted on dev.
        scored: the held-out splits with their figures.
        config: the whole configuration.
        data: the splits.
        progress: how training went.

    Raises:
        ModelError: when the model read back does not give the logits of the trained one.
    """
    training = {
        "steps": progress.steps, "best_step": progress.best_step, "processes": processes.world_size(),
        **describe_teachers(config.distill),
    }  # fmt: skip
    provenance = describe_origin(config, data, training)
    report = render_report(
        f"{config.run.name}: {config.model.name}",
        f"{config.tuning.method} tuning, {pooling_of(config.model)} pooling; weights of step {progress.best_step} of "
        f"{progress.steps}; {provenance['created']}",
        scored, trained.calibration, trained.policies,
        train_support=data.train.support(data.labels), history=progress.history, data_lines=data.report.lines(),
        details={
            "Configuration": yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True),
            "Provenance": yaml.safe_dump(provenance, sort_keys=False, allow_unicode=True),
        },
    )  # fmt: skip
    card = render_model_card(config, data, trained.metrics, trained.policies, trained.encoder.tokens)
    pages = {"report.html": report, "README.md": card}
    return publish(folder.bundle, trained, config=config, data=data, pages=pages, provenance=provenance)
