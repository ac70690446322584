"""One run from start to end: processes, log, and what is said when it is interrupted."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.bundle import Bundle
from training.config import Config
from training.data.corpus import Splits
from training.runtime import processes
from training.runtime.precision import Precision
from training.runtime.run_folder import RunFolder

log = logging.getLogger("training")


@dataclass
class Session:
    """One run from start to end: processes, log, and what is said when it is interrupted."""

    config: Config

    def __enter__(self) -> Session:
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

    def tell_model(self, weights: tuple[int, int], precision: Precision) -> None:
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
        """Mark the run as finished and say what came of it."""
        self.folder.finish()
        for name, metrics in bundle.metrics().items():
            log.info(
                "%s: macro F1 %.4f, micro F1 %.4f, Brier %.4f, NLL %.4f, ECE %.4f (%d rows)", name, metrics["macro_f1"],
                metrics["micro_f1"], metrics["brier"], metrics["nll"], metrics["ece_pooled"], metrics["num_examples"],
            )  # fmt: skip
        log.info("Bundle: %s (%.1f min)", bundle.path, seconds / 60)
