"""What can be known to fail before anything expensive starts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from shared.errors import ConfigError, DataNotFoundError
from shared.modeling.checkpoints import load_config, resolve_checkpoint
from training.config import Config

FREE_BYTES = 1_000_000_000
"""Least free space to start with: a small model's checkpoints and bundle."""
HUB_KINDS = frozenset({"goemotions"})
"""Kinds of sources whose path may be a name on the hub instead of a folder."""


def preflight(config: Config) -> None:
    """Check that options fit together, the run's name and folder, that there is room, and that data paths exist.

    Raises:
        ConfigError: for options that defeat each other, a name that cannot be a folder, a folder that cannot be
            written, or a full disk.
        ModelNotFoundError: when the checkpoint cannot be reached.
        DataNotFoundError: for a path where nothing is.
    """
    _check_patience(config)
    _check_calibration(config)
    _check_name(config.run.name)
    _check_folder(config.run_dir)
    load_config(resolve_checkpoint(config.model.name))
    for source in config.data.resolved_sources():
        if source.path is not None and source.kind not in HUB_KINDS and not Path(source.path).expanduser().exists():
            raise DataNotFoundError(f"{source.kind} data not found: looked for {Path(source.path).absolute()}.")


def _check_patience(config: Config) -> None:
    """Refuse to wait for a plateau longer than the run waits before it stops."""
    waits = []
    if config.optim.schedule == "plateau":
        waits.append(("optim.plateau_patience", config.optim.plateau_patience))
    if config.tuning.method == "progressive" and config.tuning.unfreeze == "plateau":
        waits.append(("tuning.unfreeze_every", config.tuning.unfreeze_every))
    for key, wait in waits:
        if config.eval.patience is not None and wait >= config.eval.patience:
            raise ConfigError(
                f"{key} is {wait:g} and eval.patience {config.eval.patience}: the run would stop before anything is "
                "done about a plateau.",
                hint=f"Make eval.patience larger than {wait:g}, or null.",
            )


def _check_calibration(config: Config) -> None:
    """Refuse temperatures by label under a softmax before anything is trained for them."""
    if config.loss.task == "single_label" and config.calibration.method == "temperature_per_label":
        raise ConfigError(
            "calibration.method is 'temperature_per_label', which does not go with loss.name cross_entropy; "
            "allowed here: temperature, none."
        )


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
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise ConfigError(
            f"only {free / 1e9:.1f} GB are free for {folder.absolute()}; at least {FREE_BYTES / 1e9:g} GB are needed.",
            hint="Free some space, or choose another place with --run.output_dir.",
        )
