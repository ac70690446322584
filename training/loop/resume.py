"""Going on from a checkpoint: the evaluation that it lacks, and whether anything is left to train."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import TrainingError
from shared.files import replacing_file
from training.config import Config
from training.loop.progress import has_stalled
from training.runtime.run_folder import read_state

if TYPE_CHECKING:
    from training.loop.trainer import EmotionTrainer


class NothingLeftError(Exception):
    """The checkpoint to go on from is evaluated now, and was the last one."""


class EvaluateFirst(TrainerCallback):
    """Evaluates a checkpoint of a whole epoch that was written before its evaluation, which a stop or a lack of memory
    prevented.

    The Trainer goes on with the next epoch, so that the weights of this one could never become the best.

    Args:
        trainer: whose checkpoint it is.
    """

    def __init__(self, trainer: EmotionTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Evaluate and save, as at the end of the epoch.

        Raises:
            NothingLeftError: when training ends here.
        """
        done = state.global_step
        at_end = done >= state.max_steps
        if not done or not (at_end or float(state.epoch or 0.0).is_integer()) or is_evaluated(state.log_history, done):
            return
        trainer = self.trainer
        trainer._load_rng_state(trainer.resumed_from)  # type: ignore[no-untyped-call]
        trainer._determine_best_metric(trainer.evaluate(), None)  # type: ignore[no-untyped-call]
        trainer._save_checkpoint(trainer.model, None)  # type: ignore[no-untyped-call]
        if at_end or control.should_training_stop:
            raise NothingLeftError


def is_evaluated(history: Sequence[Mapping[str, Any]], step: int) -> bool:
    """Whether the log holds an evaluation at this step."""
    return any(entry.get("step") == step and "eval_loss" in entry for entry in history)


def is_finished(checkpoint: Path, config: Config) -> bool:
    """Whether a run was at its end when this checkpoint was written, after its last step or for lack of progress."""
    state = read_state(checkpoint) or {}
    history, step, patience = state.get("log_history", []), state.get("global_step", 0), config.eval.patience
    if patience is not None and has_stalled(history, config.stop_metrics, patience):
        return True
    return bool(step and step >= state["max_steps"] and is_evaluated(history, step))


def point_to_best(checkpoint: Path) -> None:
    """Let the state in a checkpoint name the best one where it lies now, beside it: the run may have been moved.

    Raises:
        TrainingError: when it is not there.
    """
    named = (read_state(checkpoint) or {}).get("best_model_checkpoint")
    if named is None:
        return
    best = checkpoint.parent / Path(named).name
    if read_state(best) is None:
        raise best_is_missing(best)
    change_state(checkpoint, best_model_checkpoint=str(best))


def best_is_missing(path: Path) -> TrainingError:
    """The error of a run whose best weights are gone."""
    return TrainingError(
        f"the best checkpoint of the run is not there, or without its weights: {path}.",
        hint="Put it back, or start the run again with --run.overwrite true.",
    )


def change_state(checkpoint: Path, **changes: Any) -> None:
    """Write other values into the state that the Trainer takes up from a checkpoint; those it lacks stay out."""
    path = checkpoint / "trainer_state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    changed = state | {name: value for name, value in changes.items() if state.get(name) is not None}
    if changed != state:
        with replacing_file(path) as temporary:
            temporary.write_text(json.dumps(changed, indent=2) + "\n", encoding="utf-8")


def restore_finished(trainer: EmotionTrainer, checkpoint: Path) -> None:
    """Take up the state and the best weights of a run that has nothing left to train."""
    trainer.state = type(trainer.state).load_from_json(str(checkpoint / "trainer_state.json"))
    trainer._load_best_model()
