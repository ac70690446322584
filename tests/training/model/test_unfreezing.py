"""Stages of unfreezing, by epoch and by plateau, and that they follow from the Trainer's record."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from shared.errors import ConfigError
from shared.modeling.classifier import build_classifier
from tests.helpers import tiny_checkpoint
from training.model.layers import find_depths
from training.model.unfreezing import SCORE, UnfreezeCallback, count_plateaus


@pytest.fixture
def model(tmp_path):
    return build_classifier(tiny_checkpoint(tmp_path, num_layers=3), labels=("joy", "anger"), pooling="cls")


def trained_depths(model) -> set[int]:
    depths = find_depths(model)
    by_state = {depths.of(weight): weight.requires_grad for weight in model.parameters()}
    assert all(by_state[depths.of(weight)] == weight.requires_grad for weight in model.parameters())
    return {depth for depth, trained in by_state.items() if trained}


def begin(callback: UnfreezeCallback, state: TrainerState, processes: int = 1) -> None:
    callback.on_train_begin(SimpleNamespace(world_size=processes), state, TrainerControl())  # type: ignore[arg-type]


def step(callback: UnfreezeCallback, state: TrainerState) -> None:
    callback.on_step_begin(SimpleNamespace(), state, TrainerControl())  # type: ignore[arg-type]


def test_on_schedule_the_head_then_layers_downwards_then_the_embeddings(model):
    callback = UnfreezeCallback(model, start=0, layers=1, on="schedule", every=0.5)
    begin(callback, TrainerState(epoch=0))
    stages = []
    for epoch in (0.0, 0.49, 0.5, 1.0, 1.5, 2.0, 3.0):
        step(callback, TrainerState(epoch=epoch))
        stages.append(trained_depths(model))
    top = [{4}, {4}, {3, 4}, {2, 3, 4}, {1, 2, 3, 4}]
    assert stages == [*top, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}]


def test_on_plateau_a_stage_follows_evaluations_without_progress(model):
    callback = UnfreezeCallback(model, start=1, layers=2, on="plateau", every=2)
    state = TrainerState()
    begin(callback, state)
    assert trained_depths(model) == {3, 4}
    for score, expected in (
        (0.3, {3, 4}),
        (0.2, {3, 4}),
        (0.3, {1, 2, 3, 4}),
        (0.1, {1, 2, 3, 4}),
        (0.2, {0, 1, 2, 3, 4}),
    ):
        state.log_history.append({SCORE: score})
        step(callback, state)
        assert trained_depths(model) == expected


def test_a_resumed_run_is_in_the_stage_it_was_left_in(model):
    scores = [0.1, 0.2, 0.2, 0.15, 0.3, 0.3]
    state = TrainerState(epoch=6.0, log_history=[{"loss": 1.0}, *({SCORE: score} for score in scores)])
    callback = UnfreezeCallback(model, start=0, layers=1, on="plateau", every=2)
    begin(callback, state)
    assert trained_depths(model) == {3, 4}


def test_plateaus_by_hand():
    assert count_plateaus([], 1) == 0
    assert count_plateaus([1, 2, 3], 1) == 0
    assert count_plateaus([3, 2, 1, 0], 1) == 3
    assert count_plateaus([3, 2, 1, 0], 3) == 1
    assert count_plateaus([3, 2, 4, 4, 4], 2) == 1


def test_weights_that_are_never_trained_stay_frozen(model):
    frozen = next(model.parameters()).requires_grad_(False)
    callback = UnfreezeCallback(model, start=3, layers=1, on="schedule", every=1)
    begin(callback, TrainerState(epoch=9.0))
    assert not frozen.requires_grad
    assert all(weight.requires_grad for weight in model.parameters() if weight is not frozen)


def test_several_processes_are_refused(model):
    callback = UnfreezeCallback(model, start=0, layers=1, on="schedule", every=1)
    with pytest.raises(ConfigError, match="works in one process, and there are 2"):
        begin(callback, TrainerState(), processes=2)


def test_a_start_beyond_the_encoder_is_refused(model):
    with pytest.raises(ConfigError, match=r"tuning\.top_layers is 9; this encoder has 3 layers"):
        UnfreezeCallback(model, start=9, layers=1, on="schedule", every=1)
