"""Train a classifier: from a configuration to a sealed bundle."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.cli import run_command
from training.config import Config
from training.config.parser import parse_options

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from shared.bundle import Bundle


EXAMPLES = (
    "",
    "--config goemotions_starter --data.path DIR",
    "--data.source table --data.path my.csv --run.name mine",
    "--config runs/mine/training.yaml --run.resume true",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the configuration and run it."""
    config, _ = parse_options(
        Config,
        sys.argv[1:] if argv is None else argv,
        prog="python -m training.run",
        description=str(__doc__),
        examples=EXAMPLES,
    )
    from training.runtime.resources import keep_freed_memory  # loads torch, which --help need not wait for

    keep_freed_memory()
    run(config)
    return 0


def run(
    config: Config,
    *,
    callbacks: Sequence[TrainerCallback] = (),
    link_latest: bool = True,
    resumed_by: str | None = None,
) -> Bundle | None:
    """Configuration -> preflight -> data -> model -> train -> calibrate -> evaluate -> publish.

    Afterwards the process is as it was found: log, environment, threads, random states and signal handlers.

    Args:
        config: the whole configuration.
        callbacks: further ones of the training loop; an exception of theirs ends the run.
        link_latest: whether `<run.output_dir>/latest` moves to this run once it is finished.
        resumed_by: what goes on with it after an interruption, for the log; the command that resumes this run if unset.

    Returns:
        The bundle; None on the processes that do not write.

    Raises:
        EmotionError: for every mistake a user can fix.
        KeyboardInterrupt: when it was interrupted; what was done is kept, and the log says how to resume.
    """
    started = time.monotonic()
    # here and not on top: torch and transformers take seconds, and neither --help nor a mistake should wait for them
    from training.audit.summary import measure_fairness
    from training.checks.stages import check_data, check_learning, preflight
    from training.data.load import load_data
    from training.evaluation.calibrate import calibrate_and_evaluate
    from training.evaluation.run_bundle import publish_run
    from training.loop.train import train
    from training.loop.training_rows import build_rows
    from training.model.classifier import build_tokenizer
    from training.model.lora import merged
    from training.model.tuning import build_from, build_tuned, count_parameters
    from training.runtime import processes
    from training.runtime.processes import sharding
    from training.runtime.resources import choose_precision
    from training.runtime.session import Session

    with Session(config, link_latest, resumed_by) as session:
        preflight(config)
        precision = choose_precision(config.optim.precision)
        resume_from = session.prepare()

        data = load_data(config.data, single_label=config.loss.single_label)
        session.take_data(data, begun=resume_from is not None)
        tokenizer = build_tokenizer(config)
        check_data(data, tokenizer, config)

        model = build_tuned(config, data)
        rows = build_rows(config, data, tokenizer)
        session.log_model(count_parameters(model), precision)
        if resume_from is None:
            check_learning(model, rows, config, precision)

        progress = train(
            model, rows, config, session.folder, precision=precision, resume_from=resume_from, callbacks=callbacks
        )
        if not processes.is_main():
            return None

        with session.keeping_weights():
            if sharding() is not None:
                model = build_from(session.folder.checkpoint(progress.best_step), config, data)
            trained, scored = calibrate_and_evaluate(merged(model), tokenizer, config, data)
            fairness = measure_fairness(trained, config)
            bundle = publish_run(
                session.folder, trained, scored, config=config, data=data, progress=progress, fairness=fairness
            )
        session.finish(bundle, time.monotonic() - started)
        return bundle


if __name__ == "__main__":
    run_command(main)
