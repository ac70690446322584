"""Everything a user can set: one file for the sections of each subject, one parser that reads them."""

from training.config.data import AugmentConfig, DataConfig, SamplingConfig, SourceConfig
from training.config.evaluate import PER_LABEL, CalibrationConfig, EvalConfig
from training.config.model import ModelConfig, TuningConfig
from training.config.optim import DistillConfig, LossConfig, OptimConfig
from training.config.parser import load
from training.config.run import PreflightConfig, RunConfig, WatchConfig
from training.config.schema import Config

__all__ = [
    "PER_LABEL",
    "AugmentConfig",
    "CalibrationConfig",
    "Config",
    "DataConfig",
    "DistillConfig",
    "EvalConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PreflightConfig",
    "RunConfig",
    "SamplingConfig",
    "SourceConfig",
    "TuningConfig",
    "WatchConfig",
    "load",
]
