"""Train a classifier: from a configuration to a sealed bundle."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from torch import nn
from transformers import TrainerCallback, set_seed

from shared.bundle import Bundle
from shared.cli import run_command
from training.calibration.policies import fit_policies
from training.calibration.temperature import fit_calibration
from training.config import Config
from training.data.corpus import Corpus, Splits, load_data
from training.distill.teachers import describe_teachers
from training.loop.rows import build_rows
from training.loop.train import Progress, train
from training.model.classifier import TextEncoder, build_model, build_tokenizer, pooling_of
from training.model.inference import predict_logits
from training.model.lora import merged
from training.model.tuning import apply_tuning, count_parameters
from training.options import parse_options
from training.preflight import check_data, check_learning, preflight
from training.results.model_card import render_model_card
from training.results.publish import Trained, describe_origin, publish
from training.results.report import Scored, render_report
from training.results.scoring import Split, label_frequencies, score
from training.runtime import processes
from training.runtime.precision import Precision, choose_precision
from training.runtime.run_folder import RunFolder

log = logging.getLogger("training")


def main(argv: Sequence[str] | None = None) -> int:
    """Read the configuration and run it."""
    config, _ = parse_options(
        Config, sys.argv[1:] if argv is None else argv, prog="python -m training.run", description=str(__doc__)
    )
    run(config)
    return 0


def run(config: Config, *, callbacks: Sequence[TrainerCallback] = ()) -> Bundle | None:
    """Configuration -> preflight -> data -> model -> train -> calibrate -> evaluate -> publish.

    Args:
        config: the whole configuration.
        callbacks: further ones of the training loop; an exception of theirs ends the run.

    Returns:
        The bundle; None on the processes that do not write.

    Raises:
        EmotionError: for every mistake a user can mend.
        KeyboardInterrupt: when it was interrupted; what was done is kept, and the log says how to resume.
    """
    started = time.monotonic()
    with _Session(config) as session:
        preflight(config)
        precision = choose_precision(config.optim.precision)
        resume_from = session.prepare()

        data = load_data(config.data)
        session.tell_data(data)
        encoder = build_tokenizer(config)
        check_data(data, encoder, config)

        set_seed(config.run.seed)
        model = apply_tuning(build_model(config, data.labels.names, label_frequencies(data.train)), config.tuning)
        rows = build_rows(config, data, encoder)
        session.tell_model(model, precision)
        if resume_from is None:
            check_learning(model, rows, config)

        progress = train(
            model, rows, config, session.folder, precision=precision, resume_from=resume_from, callbacks=callbacks
        )
        if not processes.is_main():
            return None

        trained, scored = _calibrate_and_evaluate(merged(model), encoder, config, data)
        bundle = _publish(session.folder, trained, scored, config=config, data=data, progress=progress)
        session.finish(bundle, time.monotonic() - started)
        return bundle


def _calibrate_and_evaluate(
    model: Any, encoder: TextEncoder, config: Config, data: Splits
) -> tuple[Trained, list[Scored]]:
    """Temperatures and thresholds from dev, then the figures of every held-out split."""

    def logits_of(name: str, corpus: Corpus) -> Split:
        rows = [row.ids for row in encoder.tokens.encode(corpus.texts)]
        return Split.of(name, corpus, predict_logits(model, encoder.tokens, rows, batch_size=config.eval.batch_size))

    log.info("Calibrating on dev ...")
    dev = logits_of("dev", data.dev)
    calibration = fit_calibration(
        dev.logits, dev.truth, dev.known,
        config=config.calibration, split="dev", activation=config.loss.activation,
    )  # fmt: skip
    policies = fit_policies(
        dev.truth, calibration.apply(dev.logits), dev.known,
        labels=data.labels.names, config=config.calibration, split="dev",
    )  # fmt: skip
    splits = [dev] if data.test is None else [dev, logits_of("test", data.test)]
    figures = partial(
        score, calibration=calibration, policies=policies, prior=label_frequencies(data.train),
        samples=config.eval.bootstrap_samples, seed=config.run.seed,
    )  # fmt: skip
    scored = [Scored(split, figures(split)) for split in splits]
    metrics = {item.split.name: item.metrics for item in scored}
    return Trained(model, encoder, calibration, policies, metrics, dev), scored


def _publish(
    folder: RunFolder, trained: Trained, scored: list[Scored], *, config: Config, data: Splits, progress: Progress
) -> Bundle:
    """Report, model card and the sealed bundle."""
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


@dataclass
class _Session:
    """One run from start to end: processes, log, and what is said when it is interrupted."""

    config: Config

    def __enter__(self) -> _Session:
        self.folder = RunFolder(self.config.run_dir)
        self.threads = processes.start(self.config.run.threads)
        self.handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        log.addHandler(self.handlers[0])
        log.propagate = False
        log.setLevel(logging.INFO if processes.is_main() else logging.ERROR)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is KeyboardInterrupt and self.folder.last_checkpoint() is not None:
            log.warning("Interrupted. Resume with: %s", self.folder.resume_command())
        for handler in self.handlers:
            log.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()
        if kind is None:
            processes.finish()

    def prepare(self) -> Path | None:
        """Make the run's folder ready on the process that writes; the checkpoint to resume from, if any."""
        with processes.main_first():
            if not processes.is_main():
                return self.folder.last_checkpoint() if self.config.run.resume else None
            resume_from = self.folder.prepare(self.config)
        file = logging.FileHandler(self.folder.logs / "run.log", encoding="utf-8")
        file.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk is told where it matters
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self.handlers.append(file)
        log.addHandler(file)
        if resume_from is not None:
            log.info("Resuming from %s", resume_from)
        elif self.config.run.resume:
            log.info("No complete checkpoint in %s: starting from the beginning", self.folder.checkpoints)
        return resume_from

    def tell_data(self, data: Splits) -> None:
        """Log what was counted in the data."""
        for line in data.report.lines():
            log.info("%s", line)

    def tell_model(self, model: nn.Module, precision: Precision) -> None:
        """Log what is trained and how."""
        trainable, total = count_parameters(model)
        log.info(
            "%s, %s tuning: %s of %s weights trained (%.2f %%)", self.config.model.name, self.config.tuning.method,
            f"{trainable:,}", f"{total:,}", 100 * trainable / total,
        )  # fmt: skip
        log.info(
            "Precision %s; %d thread%s; %d process%s", precision, self.threads, "s" * (self.threads > 1),
            processes.world_size(), "es" * (processes.world_size() > 1),
        )  # fmt: skip

    def finish(self, bundle: Bundle, seconds: float) -> None:
        """Mark the run as finished and say what came of it."""
        self.folder.finish()
        for name, metrics in bundle.metrics().items():
            log.info(
                "%s: macro F1 %.4f, micro F1 %.4f, Brier %.4f, NLL %.4f, ECE %.4f (%d rows)", name, metrics["macro_f1"],
                metrics["micro_f1"], metrics["brier"], metrics["nll"], metrics["ece_pooled"], metrics["num_examples"],
            )  # fmt: skip
        log.info("Bundle: %s (%.1f min)", bundle.path, seconds / 60)


if __name__ == "__main__":
    run_command(main)
