"""The whole configuration of a run: its sections, its plain values, and what may not be said together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.errors import ConfigError
from shared.files import replacing_file
from shared.task import Task
from training.config.data import AugmentConfig, DataConfig
from training.config.evaluate import PER_LABEL, CalibrationConfig, EvalConfig
from training.config.intensity import LABEL_METRICS, check_intensity
from training.config.model import ModelConfig, TuningConfig
from training.config.optim import DistillConfig, LossConfig, OptimConfig
from training.config.run import PreflightConfig, RunConfig, WatchConfig

CHANGES_NOTHING = frozenset({
    "run.name", "run.output_dir", "run.resume", "run.resume_if_there", "run.overwrite", "run.threads", "run.workers",
    "run.keep_checkpoints", "run.save_every_steps", "run.log_every_steps", "data.cache_dir", "preflight.skip",
    "watch.trackers", "watch.gradients", "watch.notes",
})  # fmt: skip
"""Keys that change nothing in what is computed, so that a resumed run, or a finished one that is taken, may differ."""


@dataclass(frozen=True)
class Config:
    """The whole configuration of a training run."""

    run: RunConfig = field(default_factory=RunConfig)
    """Where a run writes and how it is repeated."""
    data: DataConfig = field(default_factory=DataConfig)
    """Where texts come from, how they are split and cut."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Further training texts for rare labels."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The encoder and the classification head."""
    tuning: TuningConfig = field(default_factory=TuningConfig)
    """Which weights are trained."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    distill: DistillConfig = field(default_factory=DistillConfig)
    """Learning from other models beside the labels."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """How it is minimised."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    """How progress and the result are measured."""
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    """Temperatures, biases and thresholds."""
    preflight: PreflightConfig = field(default_factory=PreflightConfig)
    """Checks before anything expensive."""
    watch: WatchConfig = field(default_factory=WatchConfig)
    """Where metrics are logged while a run trains, and which."""

    @property
    def run_dir(self) -> Path:
        """Folder of this run."""
        return Path(self.run.output_dir) / self.run.name

    @property
    def task(self) -> Task:
        """What the model is for: what `data.task` says, and for labels the loss."""
        return Task.INTENSITY if self.data.task == "intensity" else Task(self.loss.task)

    @property
    def best_by(self) -> str:
        """`eval.best_by` as this task measures it."""
        return self._measured(self.eval.best_by)

    @property
    def stop_metrics(self) -> list[str]:
        """`eval.stop_metrics` as this task measures them."""
        return [self._measured(name) for name in self.eval.stop_metrics]

    def _measured(self, name: str) -> str:
        return "pearson" if name == "macro_f1" and not self.task.decides else name

    def check(self) -> None:
        """Refuse values that do not go together; those of a single key are checked by its type.

        Raises:
            ConfigError: naming the keys.
        """
        self.data.resolved_sources()
        self.data.check_fractions()
        self.data.check_folds()
        if self.run.overwrite and self.run.resume_if_there:
            raise ConfigError("run.overwrite and run.resume_if_there are both true: each says what becomes of a run.")
        if (self.model.bottom_dropout is None) != (self.model.top_dropout is None):
            raise ConfigError(
                f"model.bottom_dropout is {self.model.bottom_dropout} and model.top_dropout {self.model.top_dropout}; "
                "give both, or neither."
            )
        self._check_patience()
        check_intensity(self)
        self._check_metrics()
        if self.tuning.unfreeze == "plateau" and self.tuning.unfreeze_every % 1:
            raise ConfigError(
                f"tuning.unfreeze_every is {self.tuning.unfreeze_every}; with tuning.unfreeze plateau it counts "
                "evaluations and must be a whole number."
            )
        if self.loss.single_label and self.calibration.method in PER_LABEL:
            raise ConfigError(
                f"calibration.method is '{self.calibration.method}', which does not go with loss.name cross_entropy; "
                "allowed here: temperature, none."
            )
        if self.loss.single_label and self.calibration.per_language:
            raise ConfigError(
                "calibration.per_language is true, and with loss.name cross_entropy the most probable label is "
                "decided, without thresholds.",
                hint="Leave it out.",
            )

    def _check_metrics(self) -> None:
        """Refuse metrics of one label a text where a text may have several."""
        for key, names in (("eval.best_by", [self.eval.best_by]), ("eval.stop_metrics", self.eval.stop_metrics)):
            for name in names:
                if name in ("pearson", "spearman") and self.task.decides:
                    raise ConfigError(f"{key} has {name}, which is measured with data.task intensity alone.")
                if name in LABEL_METRICS and not self.task.decides:
                    raise ConfigError(f"{key} has {name}, and data.task is intensity; allowed: pearson, spearman.")
                if name in ("accuracy", "weighted_f1") and not self.loss.single_label:
                    raise ConfigError(
                        f"{key} has {name}, which needs one label a text; loss.name is {self.loss.name}.",
                        hint="Add --loss.name cross_entropy, or name macro_f1 or micro_f1.",
                    )

    def _check_patience(self) -> None:
        """Refuse to wait for a plateau longer than the run waits before it stops, and to wait for nothing."""
        if self.eval.patience is not None and not self.eval.stop_metrics:
            raise ConfigError(
                "eval.stop_metrics is empty, and a run stops early when all of them have stalled.",
                hint="Name metrics, or say eval.patience null, so that no run stops early.",
            )
        waits: list[tuple[str, float]] = []
        if self.optim.schedule == "plateau":
            waits.append(("optim.plateau_patience", self.optim.plateau_patience))
        if self.tuning.method == "progressive" and self.tuning.unfreeze == "plateau":
            waits.append(("tuning.unfreeze_every", self.tuning.unfreeze_every))
        for key, wait in waits:
            if self.eval.patience is not None and wait >= self.eval.patience:
                raise ConfigError(
                    f"{key} is {wait:g} and eval.patience {self.eval.patience}: the run would stop before anything is "
                    "done about a plateau.",
                    hint=f"Make eval.patience larger than {wait:g}, or null.",
                )

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """Keys that change a result and have another value in a saved configuration; those it lacks are left out.

        Args:
            saved: nested values, as `write` wrote them.
        """
        before, now = flatten(saved), self.flat()
        return [key for key in now if key not in CHANGES_NOTHING and before.get(key, now[key]) != now[key]]

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, ready for YAML or JSON."""
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """Plain values by dotted key."""
        return flatten(self.to_dict())

    def write(self, path: Path) -> None:
        """Write the resolved configuration as YAML that `--config` reads."""
        with replacing_file(path) as temporary:
            temporary.write_text(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
