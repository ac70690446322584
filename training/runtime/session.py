"""One run from start to end: processes, log, and what is said when it is interrupted."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.utils import logging as hf_logging

from shared.bundle import Bundle
from shared.errors import ConfigError
from training.config import Config
from training.data.corpus import Splits
from training.runtime import processes
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

log = logging.getLogger("training")


@contextlib.contextmanager
def process_as_found() -> Iterator[None]:
    """Whatever the block does to the process, afterwards it is as before, also when the block raises.

    That is: the training log, transformers' verbosity and progress bars, environment variables, torch's threads, the
    random states, and the handlers of SIGINT and SIGTERM.
    """
    log_state = log.handlers[:], log.propagate, log.level
    environment, threads = dict(os.environ), torch.get_num_threads()
    verbosity, bars, hub_bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled(), _hub_bars()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    in_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if in_main else {}
    try:
        yield
    finally:
        log.handlers[:], log.propagate = log_state[:2]
        log.setLevel(log_state[2])
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        torch.set_num_threads(threads)
        hf_logging.set_verbosity(verbosity)
        (hf_logging.enable_progress_bar if bars else hf_logging.disable_progress_bar)()  # type: ignore[no-untyped-call]
        (enable_progress_bars if hub_bars else disable_progress_bars)()
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _hub_bars() -> bool:
    return not are_progress_bars_disabled()


def _correlations(metrics: Mapping[str, Any]) -> str:
    """Metrics of intensities in one line; a dash for what is not defined."""
    shown = {"pearson": "Pearson", "spearman": "Spearman", "mae": "mean absolute error", "coverage": "in the interval"}
    values = (f"{title} {'–' if metrics[key] is None else format(metrics[key], '.4f')}" for key, title in shown.items())
    return f"{', '.join(values)} ({metrics['num_examples']} rows)"


@dataclass
class Session:
    """One run from start to end: processes, log, and what is logged when it is interrupted.

    Args:
        config: the whole configuration.
        link_latest: whether the link `latest` beside the run moves to it once it is finished.
        resumed_by: what goes on with it after an interruption; the command that resumes this run if unset.
    """

    config: Config
    link_latest: bool = True
    resumed_by: str | None = None

    def __enter__(self) -> Session:
        self.stack = contextlib.ExitStack()
        self.stack.enter_context(process_as_found())
        self.folder = RunFolder(self.config.run_dir)
        if processes.is_main():
            self.stack.enter_context(self.folder.removed_if_untrained())
        self.threads = processes.start(self.config.run.threads)
        self.handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        log.addHandler(self.handlers[0])
        log.propagate = False
        log.setLevel(logging.INFO if processes.is_main() else logging.ERROR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:  # fmt: skip
        if kind is KeyboardInterrupt and self.folder.last_checkpoint() is not None:
            log.warning("Interrupted. Resume with: %s", self.resumed_by or self.folder.resume_command())
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.close()
        self.stack.__exit__(kind, error, where)
        if kind is None:
            processes.finish()

    def prepare(self) -> Path | None:
        """Hold the run's folder on the process that writes, make it ready; the checkpoint to resume from, if any."""
        if processes.is_main():
            self.stack.callback(self.folder.lock().close)
        goes_on = self.folder.goes_on(self.config)
        resume_from = processes.from_main(self.folder.prepare(self.config) if processes.is_main() else None)
        if resume_from is not None and not resume_from.is_dir():
            raise ConfigError(
                f"the first process resumes from {resume_from}, which is not on this machine.",
                hint="Let run.output_dir be a folder that all machines share.",
            )
        if not processes.is_main():
            return resume_from
        file = logging.FileHandler(self.folder.logs / "run.log", encoding="utf-8")
        file.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk is an error where it matters
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self.handlers.append(file)
        log.addHandler(file)
        if resume_from is not None:
            log.info("Resuming from %s", resume_from)
        elif goes_on:
            log.info("No complete checkpoint in %s: starting from the beginning", self.folder.checkpoints)
        return resume_from

    @contextlib.contextmanager
    def keeping_weights(self) -> Iterator[None]:
        """Around all that follows the training: when it fails, the log says where the weights are and how to go on."""
        try:
            yield
        except Exception:
            log.error(  # noqa: TRY400  (what happened is said by whoever handles the exception)
                "No bundle was written; the trained weights are kept in %s. Once the cause is gone, finish with: %s",
                self.folder.checkpoints, self.folder.publish_command(),
            )  # fmt: skip
            raise

    def take_data(self, data: Splits, *, begun: bool) -> None:
        """Log what was counted in the data, and note which they are; a run that has begun must have the same.

        Raises:
            ConfigError: when they have changed since it began.
        """
        for line in data.report.lines():
            log.info("%s", line)
        if processes.is_main():
            self.folder.note_data(data.fingerprint, begun=begun)

    def log_model(self, weights: tuple[int, int], precision: Precision) -> None:
        """Log what is trained, as numbers of trainable and of all weights, and how."""
        trainable, total = weights
        log.info(
            "%s, %s tuning: %s of %s weights trained (%.2f %%)", self.config.model.name, self.config.tuning.method,
            f"{trainable:,}", f"{total:,}", 100 * trainable / total,
        )  # fmt: skip
        log.info(
            "Precision %s; %d thread%s; %d process%s", precision, self.threads, "s" * (self.threads > 1),
            processes.world_size(), "es" * (processes.world_size() > 1),
        )  # fmt: skip

    def finish(self, bundle: Bundle, seconds: float) -> None:
        """Mark the run as finished and log its metrics."""
        self.folder.finish(link_latest=self.link_latest)
        for name, metrics in bundle.metrics().items():
            if not bundle.task.decides:
                log.info("%s: %s", name, _correlations(metrics))
                continue
            log.info(
                "%s: %smacro F1 %.4f, micro F1 %.4f, Brier %.4f, NLL %.4f, ECE %.4f (%d rows)", name,
                f"accuracy {metrics['accuracy']:.4f}, " if "accuracy" in metrics else "",
                metrics["macro_f1"], metrics["micro_f1"],
                metrics["brier"], metrics["nll"], metrics["ece_pooled"], metrics["num_examples"],
            )  # fmt: skip
            if "nested" in metrics:
                log.info(
                    "%s: macro F1 %.4f, NLL %.4f with all fitted on other rows (%d folds): what to expect on new text",
                    name, *(metrics["nested"][key] for key in ("macro_f1", "nll", "folds")),
                )  # fmt: skip
        log.info("Bundle: %s (%.1f min)", bundle.path, seconds / 60)
