"""The plateau schedule: warm-up, reductions, and that its state is whole."""

from __future__ import annotations

import pytest
import torch

from training.optim.plateau import PlateauSchedule


def schedule(warmup_steps: int = 0, patience: int = 2) -> tuple[PlateauSchedule, torch.optim.Optimizer]:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups)
    return PlateauSchedule(optimizer, warmup_steps=warmup_steps, factor=0.5, patience=patience), optimizer


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def advance(course: PlateauSchedule, optimizer: torch.optim.Optimizer, steps: int = 1) -> None:
    for _ in range(steps):
        optimizer.step()
        course.step()


def test_warms_up_linearly_and_then_stays():
    course, optimizer = schedule(warmup_steps=4)
    seen = [rates(optimizer)]
    for _ in range(6):
        advance(course, optimizer)
        seen.append(rates(optimizer))
    assert [first for first, _ in seen] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1])
    assert [second for _, second in seen] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_halves_after_two_evaluations_without_a_better_score():
    course, optimizer = schedule()
    seen = []
    for score in (0.3, 0.3, 0.2, 0.4, 0.1, 0.1, 0.1, 0.1):
        course.observe(score)
        seen.append(rates(optimizer)[0])
        advance(course, optimizer)
        assert rates(optimizer)[0] == seen[-1]
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert course.get_last_lr() == pytest.approx([0.125, 0.0125])


def test_a_reduction_during_warm_up_scales_it():
    course, optimizer = schedule(warmup_steps=4, patience=1)
    advance(course, optimizer)
    course.observe(0.5)
    course.observe(0.5)
    advance(course, optimizer)
    assert rates(optimizer)[0] == pytest.approx(0.25)


def test_saved_and_loaded_it_continues_exactly():
    one, first = schedule(warmup_steps=3)
    for score in (0.3, 0.2):
        advance(one, first, 2)
        one.observe(score)
    other, second = schedule(warmup_steps=3)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(one.state_dict())
    for course, optimizer in ((one, first), (other, second)):
        course.observe(0.1)
        advance(course, optimizer, 2)
    assert rates(second) == rates(first) == pytest.approx([0.5, 0.05])
    assert (other.best, other.waited, other.reductions) == (0.3, 0, 1)
