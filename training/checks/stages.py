"""The checks of a run, stage by stage: on its options, on its data, on its model and loss."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from shared.errors import ConfigError, DataNotFoundError
from shared.modeling.checkpoints import load_config, resolve_checkpoint
from training.callbacks.trackers import check_trackers
from training.checks.check import Check, run_checks
from training.checks.data import data_checks
from training.checks.environment import environment_checks
from training.checks.learning import learning_checks
from training.checks.sharding import check_sharding
from training.config import Config
from training.data.corpus import Splits
from training.data.task import check_task
from training.loop.rows import TrainingRows
from training.model.classifier import TokenizerPair
from training.runtime.processes import sharding

log = logging.getLogger("training")

HUB_KINDS = frozenset({"goemotions"})
"""Kinds of sources whose path may be a name on the hub instead of a folder."""


def preflight(config: Config) -> None:
    """Check that options fit together, the run's name and folder, that there is room, and that data paths exist.

    Raises:
        ConfigError: for options that defeat each other, a name that cannot be a folder, or a folder that cannot be
            written.
        PreflightError: for a full disk or packages that are too old.
        ModelNotFoundError: when the checkpoint cannot be reached.
        DataNotFoundError: for a path where nothing is.
    """
    config.check()
    check_sharding(config, sharding())
    _check_name(config.run.name)
    check_trackers(config.watch.trackers)
    _check_folder(config.run_dir)
    load_config(resolve_checkpoint(config.model.name))
    for source in config.data.resolved_sources():
        if source.path is not None and source.kind not in HUB_KINDS and not Path(source.path).expanduser().exists():
            raise DataNotFoundError(f"{source.kind} data not found: looked for {Path(source.path).absolute()}.")
    _log_checks(environment_checks(config), config)


def check_data(data: Splits, encoder: TokenizerPair, config: Config) -> None:
    """Check that the corpus can teach the task.

    Raises:
        DataFormatError: when rows do not have the labels that the loss is for.
        PreflightError: for labels that cannot be learnt, leaks, or texts that are mostly cut.
    """
    check_task(data, config.loss.task)
    _log_checks(data_checks(data, encoder.tokens), config)


def check_learning(model: nn.Module, rows: TrainingRows, config: Config) -> None:
    """Check on one batch that model and loss can learn; the model is left as it is.

    Raises:
        PreflightError: with the cause.
    """
    _log_checks(learning_checks(model, rows, config), config)


def _log_checks(checks: Sequence[Check], config: Config) -> None:
    for line in run_checks(checks, config.preflight.skip):
        log.info("preflight: %s", line)


def _check_name(name: str) -> None:
    if not name or name == "latest" or name.startswith(".") or any(sign in name for sign in "/\\\0"):
        raise ConfigError(
            f"run.name is {name!r}; allowed is a folder name without slashes, no dot in front, and not 'latest'."
        )


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder.absolute()}: {error.strerror}.", hint="Choose another with --run.output_dir."
        ) from error
