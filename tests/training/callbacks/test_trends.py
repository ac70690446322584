"""Notes on the course of a training, from courses made by hand."""

import logging

import numpy as np
import pytest

from training.callbacks.trends import TrendNotes, notes


def course(losses, dev=()):
    """One evaluation after every fifth logged loss."""
    history = []
    for step, loss in enumerate(losses, 1):
        history.append({"step": step, "loss": loss})
        if step % 5 == 0 and step // 5 <= len(dev):
            history.append({"step": step, "eval_loss": dev[step // 5 - 1], "eval_macro_f1": 0.5})
    return history


FALLING = [0.7 * 0.95**step for step in range(20)]


@pytest.mark.parametrize(
    ("kind", "history"),
    [
        ("plateau", course([0.5] * 10)),
        ("divergence", course([0.5, 0.4, 0.3, 0.2, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2])),
        ("overfitting", course(FALLING, dev=[0.50, 0.45, 0.48, 0.55])),
    ],
)
def test_each_course_gives_its_note_alone(kind, history):
    assert list(notes(history)) == [kind]


def test_a_good_course_gives_none():
    assert notes(course(FALLING, dev=[0.6, 0.5, 0.45, 0.44]), finished=True) == {}


@pytest.mark.parametrize(
    ("losses", "dev", "said"),
    [
        (list(np.linspace(0.70, 0.66, 20)), [0.69, 0.685, 0.68, 0.675], "the model underfits: .* 0.7000 to 0.66"),
        (FALLING, [0.6, 0.5, 0.4, 0.3], r"still falling at the end \(0.4000 to 0.3000\)"),
    ],
)
def test_underfitting_is_said_at_the_end_alone(losses, dev, said):
    history = course(losses, dev)
    assert "underfitting" not in notes(history)
    import re

    assert re.search(said, notes(history, finished=True)["underfitting"])


def test_too_little_to_judge_gives_no_note():
    assert notes(course([0.5, 0.5, 0.5])) == {}
    assert notes([]) == {}


def test_a_note_is_told_once(caplog):
    class State:
        log_history = course([0.5] * 10)

    caplog.set_level(logging.INFO, logger="training")
    watch = TrendNotes()
    for _ in range(2):
        watch.on_evaluate(None, State, None)
    assert [record.message.split(":")[1] for record in caplog.records] == [" the training loss has stalled"]
