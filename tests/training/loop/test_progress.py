"""The log of a run that goes on, and early stopping: a run ends when all of its metrics have stalled, not before."""

from types import SimpleNamespace

import pytest

from training.loop import progress
from training.loop.progress import (
    ProgressCallback,
    SaveCallback,
    StopRequest,
    StopWhenStalled,
    evaluations_since_best,
    has_stalled,
)


def course(**metrics):
    """Evaluations, each after an entry of the training log."""
    history = []
    for values in zip(*metrics.values(), strict=True):
        history.append({"loss": 0.1})
        history.append({f"eval_{name}": value for name, value in zip(metrics, values, strict=True)})
    return history


F1_STALLED = course(macro_f1=[0.3, 0.5, 0.5, 0.4], loss=[0.6, 0.5, 0.4, 0.3])
BOTH_STALLED = course(macro_f1=[0.3, 0.5, 0.5, 0.4], loss=[0.6, 0.5, 0.6, 0.7])


def test_larger_is_better_but_for_losses_and_an_equal_value_is_not_better():
    assert evaluations_since_best(F1_STALLED, "macro_f1") == 2
    assert evaluations_since_best(F1_STALLED, "loss") == 0
    assert evaluations_since_best(BOTH_STALLED, "loss") == 2


def test_one_metric_alone_stops_by_itself():
    assert has_stalled(F1_STALLED, ["macro_f1"], 2)
    assert not has_stalled(F1_STALLED, ["macro_f1"], 3)


def test_several_stop_only_when_all_have_stalled():
    assert not has_stalled(F1_STALLED, ["macro_f1", "loss"], 2)
    assert has_stalled(BOTH_STALLED, ["macro_f1", "loss"], 2)
    assert not has_stalled(BOTH_STALLED, ["macro_f1", "loss"], 3)


def test_nan_is_never_better():
    assert evaluations_since_best(course(loss=[0.5, float("nan"), float("nan")]), "loss") == 2


@pytest.mark.parametrize(("history", "stops"), [(F1_STALLED, False), (BOTH_STALLED, True)])
def test_the_run_is_asked_to_stop(history, stops):
    class State:
        log_history = history

    class Control:
        should_training_stop = False

    StopWhenStalled(["macro_f1", "loss"], 2).on_evaluate(None, State, Control)
    assert Control.should_training_stop is stops


@pytest.mark.parametrize(
    "rest", [b'{"step": 30, "lo', b"\0" * 16, b'{"note": "\xc3'], ids=["cut", "NUL", "half a letter"]
)
def test_what_a_power_cut_left_of_a_line_is_no_line_of_the_log(tmp_path, rest):
    whole = b'{"step": 10, "loss": 0.5}\n'
    log = tmp_path / "train.jsonl"
    log.write_bytes(whole + b'{"step": 20, "loss": 0.4}\n' + rest)
    ProgressCallback(log, enabled=True).on_train_begin(None, SimpleNamespace(global_step=10), None)
    assert log.read_bytes() == whole


def test_a_stop_that_another_process_was_asked_for_stops_this_one_too(monkeypatch):
    state, control = SimpleNamespace(global_step=7), SimpleNamespace(should_save=False)
    callback = SaveCallback(None, StopRequest())
    assert not callback.on_step_end(None, state, control).should_save
    callback.on_save(None, state, control)
    monkeypatch.setattr(progress, "on_any", lambda own: True)
    assert callback.on_step_end(None, state, control).should_save
    with pytest.raises(KeyboardInterrupt):
        callback.on_save(None, state, control)
