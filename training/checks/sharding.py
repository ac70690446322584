"""Options that need whole weights in every process."""

from __future__ import annotations

import os

from shared.errors import ConfigError
from training.config import Config
from training.runtime.processes import Sharding

HINT = "Leave it out, or launch with configs/accelerate/multi_gpu.yaml: there every GPU has the whole model."


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
            raise ConfigError(f"{key} does not go with {kind}: {why}.", hint=HINT)
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
        "optim.optimizer adafactor": (optim.optimizer == "adafactor", "it needs rows and columns of whole matrices"),
        "tuning.method progressive": (
            config.tuning.method == "progressive", "the split is made for the weights that are trained at the start",
        ),
    }  # fmt: skip
