"""Options that defeat each other are refused before anything starts."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from training.checks.stages import preflight
from training.config import (
    CalibrationConfig,
    Config,
    EvalConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TuningConfig,
)

PLATEAU = OptimConfig(schedule="plateau", plateau_patience=3)
UNFREEZE = TuningConfig(method="progressive", unfreeze="plateau", unfreeze_every=4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(eval=EvalConfig(stop_metrics=[])), r"eval\.stop_metrics is empty, .* say eval\.patience null"),
        (Config(optim=PLATEAU), r"optim\.plateau_patience is 3 and eval\.patience 3: the run would stop before"),
        (Config(tuning=UNFREEZE), r"tuning\.unfreeze_every is 4 and eval\.patience 3: the run would stop before"),
    ],
)
def test_waiting_as_long_as_the_run_does_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        preflight(config)


def test_temperatures_by_label_are_refused_under_a_softmax():
    config = Config(loss=LossConfig(name="cross_entropy"), calibration=CalibrationConfig("temperature_per_label"))
    with pytest.raises(ConfigError, match="which does not go with loss.name cross_entropy"):
        preflight(config)


@pytest.mark.parametrize("patience", [5, None])
def test_a_longer_patience_is_accepted(tiny_model, tmp_path, patience):
    preflight(
        Config(
            model=ModelConfig(name=str(tiny_model)),
            run=RunConfig(output_dir=str(tmp_path)),
            optim=PLATEAU,
            tuning=UNFREEZE,
            eval=EvalConfig(patience=patience),
        )
    )


@pytest.mark.parametrize(
    ("eval_", "message"),
    [
        (EvalConfig(best_by="accuracy"), "eval.best_by has accuracy, which needs one label a text; loss.name is bce"),
        (EvalConfig(stop_metrics=["macro_f1", "weighted_f1"]), "eval.stop_metrics has weighted_f1, which needs one"),
    ],
)
def test_metrics_of_one_label_a_text_need_a_softmax(eval_, message):
    with pytest.raises(ConfigError, match=message):
        Config(eval=eval_).check()
    Config(eval=eval_, loss=LossConfig(name="cross_entropy")).check()
