"""The checks of a run, stage by stage: on its options and the machine, on its data, on its model and loss."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from shared.errors import ConfigError, DataNotFoundError, PreflightError
from shared.modeling.checkpoints import load_config, resolve_checkpoint
from shared.modeling.device import has_cuda
from training.callbacks.trackers import check_trackers
from training.checks.check import Check, run_checks
from training.checks.data import data_checks
from training.checks.encoder import check_export
from training.checks.learning import learning_checks
from training.config import Config
from training.data.corpus import Splits
from training.data.task import check_task
from training.loop.training_rows import TrainingRows
from training.model.classifier import TokenizerPair
from training.runtime.processes import Sharding, sharding
from training.runtime.resources import Precision
from training.runtime.run_folder import check_name

log = logging.getLogger("training")

HUB_KINDS = frozenset({"goemotions"})
"""Kinds of sources whose path may be a name on the hub instead of a folder."""


def preflight(config: Config) -> None:
    """Check that options fit together, the run's name and folder, that there is room, and that data paths exist.

    Raises:
        ConfigError: for options that defeat each other, a name that cannot be a folder, or a folder that cannot be
            written.
        PreflightError: for a full disk, packages that are too old, or an encoder that cannot be exported.
        ModelNotFoundError: when the checkpoint cannot be reached.
        DataNotFoundError: for a path where nothing is.
    """
    config.check()
    check_sharding(config, sharding())
    check_name(config.run.name)
    check_trackers(config.watch.trackers)
    _check_folder(config.run_dir)
    encoder = load_config(resolve_checkpoint(config.model.name))
    for source in config.data.resolved_sources():
        if source.path is not None and source.kind not in HUB_KINDS and not Path(source.path).expanduser().exists():
            raise DataNotFoundError(f"{source.kind} data not found: looked for {Path(source.path).absolute()}.")
    _log_checks([*environment_checks(config), Check("export", lambda: check_export(encoder))], config)


def check_data(data: Splits, tokenizer: TokenizerPair, config: Config) -> None:
    """Check that the corpus can teach the task.

    Raises:
        DataFormatError: when rows do not have the labels that the loss is for.
        PreflightError: for labels that cannot be learnt, leaks, or texts that are mostly cut.
    """
    check_task(data, config.task)
    _log_checks(data_checks(data, tokenizer.tokens), config)


def check_learning(model: nn.Module, rows: TrainingRows, config: Config, precision: Precision) -> None:
    """Check on one batch that model and loss can learn in this precision; the model is left as it is.

    Raises:
        PreflightError: with the cause.
    """
    _log_checks(learning_checks(model, rows, config, precision.name), config)


def _log_checks(checks: Sequence[Check], config: Config) -> None:
    for line in run_checks(checks, config.preflight.skip):
        log.info("preflight: %s", line)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder.absolute()}: {error.strerror}.", hint="Choose another with --run.output_dir."
        ) from error


FREE_BYTES = 1_000_000_000
"""Least free space to start with: a small model's checkpoints and bundle."""
OLDEST = {"torch": (2, 6), "transformers": (4, 57)}
"""What pyproject.toml asks for."""


def environment_checks(config: Config) -> list[Check]:
    """Checks that need neither data nor model."""
    return [Check("versions", check_versions), Check("disk", lambda: check_disk(config.run_dir))]


def check_versions() -> str:
    """Whether the packages are new enough, and what there is to compute on.

    Raises:
        PreflightError: for a package that is too old.
    """
    found = {name: version(name) for name in OLDEST}
    for name, oldest in OLDEST.items():
        if _numbers(found[name]) < oldest:
            needed = ".".join(map(str, oldest))
            raise PreflightError(
                f"{name} is {found[name]}; {needed} or newer is needed.", hint=f"pip install -U '{name}>={needed}'"
            )
    packages = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, {packages}; {devices()}"


def devices() -> str:
    """The devices that training can use, in words."""
    if not has_cuda():
        return "no GPU"
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return ", ".join(f"{found.name} ({found.total_memory / 1e9:.0f} GB)" for found in names)


def check_disk(folder: Path) -> str:
    """Whether there is room for a run in a folder that exists.

    Raises:
        PreflightError: when there is too little.
    """
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise PreflightError(
            f"only {free / 1e9:.1f} GB are free for {folder.absolute()}; at least {FREE_BYTES / 1e9:g} GB are needed.",
            hint="Free some space, or choose another place with --run.output_dir.",
        )
    return f"{free / 1e9:.0f} GB free for {folder}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


SHARDING_HINT = "Leave it out, or launch with configs/accelerate/multi_gpu.yaml: there every GPU has the whole model."


def check_sharding(config: Config, kind: Sharding | None) -> None:
    """Refuse what a sharded run would compute otherwise than a single process, or not at all.

    Args:
        config: the whole configuration.
        kind: what splits the weights; None: nothing is refused.

    Raises:
        ConfigError: naming the option.
    """
    if kind is None:
        return
    for key, (given, why) in _refused(config).items():
        if given:
            raise ConfigError(f"{key} does not go with {kind}: {why}.", hint=SHARDING_HINT)
    if kind == "FSDP" and os.environ.get("FSDP_VERSION", "1") != "2":
        raise ConfigError(
            f"FSDP version {os.environ.get('FSDP_VERSION', '1')} was launched; allowed is 2.",
            hint="Set fsdp_version: 2 as in configs/accelerate/fsdp.yaml.",
        )
    if kind == "FSDP" and os.environ.get("FSDP_STATE_DICT_TYPE") != "FULL_STATE_DICT":
        raise ConfigError(
            f"FSDP was launched with the state dict type {os.environ.get('FSDP_STATE_DICT_TYPE')}; allowed is "
            "FULL_STATE_DICT, since the bundle is made from the whole weights of the best checkpoint.",
            hint="Set fsdp_state_dict_type as in configs/accelerate/fsdp.yaml.",
        )


def _refused(config: Config) -> dict[str, tuple[bool, str]]:
    optim = config.optim
    return {
        "optim.ema_decay": (optim.ema_decay is not None, "each process would average its own part, before it is split"),
        "optim.l1": (bool(optim.l1), "the sum over all weights is not at hand in one process"),
        "optim.l2": (bool(optim.l2), "the sum over all weights is not at hand in one process"),
        "optim.compile": (optim.compile != "none", "compiled layers were not tried with it"),
        "optim.optimizer adafactor": (optim.optimizer == "adafactor", "it needs rows and columns of whole matrices"),
        "tuning.method progressive": (
            config.tuning.method == "progressive", "the split is made for the weights that are trained at the start",
        ),
    }  # fmt: skip
