"""Waits that defeat each other are refused before anything starts."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from training.config import Config, EvalConfig, OptimConfig, RunConfig, TuningConfig
from training.preflight import preflight

PLATEAU = OptimConfig(schedule="plateau", plateau_patience=3)
UNFREEZE = TuningConfig(method="progressive", unfreeze="plateau", unfreeze_every=4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(optim=PLATEAU), r"optim\.plateau_patience is 3 and eval\.patience 3: the run would stop before"),
        (Config(tuning=UNFREEZE), r"tuning\.unfreeze_every is 4 and eval\.patience 3: the run would stop before"),
    ],
)
def test_waiting_as_long_as_the_run_does_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        preflight(config)


@pytest.mark.parametrize("patience", [5, None])
def test_a_longer_patience_is_accepted(tmp_path, patience):
    preflight(
        Config(
            run=RunConfig(output_dir=str(tmp_path)),
            optim=PLATEAU,
            tuning=UNFREEZE,
            eval=EvalConfig(patience=patience),
        )
    )
