"""The average of weights: its recurrence, what it leaves alone, and that it is saved whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shared.errors import ConfigError
from training.optim.ema import EMA_FILE, Ema


def model_of(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def moved(model: nn.Module, seed: int) -> None:
    """Change every weight, as an optimiser step does."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=random))


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def test_recurrence_with_its_warm_up_by_hand():
    weight = nn.Parameter(torch.tensor([1.0]))
    ema = Ema([("w", weight)], decay=0.25)
    for value in (2.0, 3.0, 4.0):
        weight.data.fill_(value)
        ema.update()
    # d = 2/11, then min(0.25, 3/12) = 0.25 twice
    first = 2 / 11 * 1 + 9 / 11 * 2
    second = 0.25 * first + 0.75 * 3
    assert ema.state_dict()["averages"]["w"].item() == pytest.approx(0.25 * second + 0.75 * 4, rel=1e-6)


def test_constant_weights_are_their_own_average():
    model = model_of()
    ema = Ema(model.named_parameters(), decay=0.9)
    for _ in range(20):
        ema.update()
    for name, average in ema.state_dict()["averages"].items():
        torch.testing.assert_close(average, model.get_parameter(name))


def test_agrees_with_torch_once_warm():
    model = model_of()
    reference = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.6))
    reference.update_parameters(model)  # the first call copies
    ema = Ema(model.named_parameters(), decay=0.6)
    ema.updates = 1000
    for step in range(5):
        moved(model, step)
        ema.update()
        reference.update_parameters(model)
    ema.copy_to_model()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight, reference.module.get_parameter(name))


def test_applied_gives_the_averages_and_then_exactly_the_weights_again():
    model = model_of()
    ema = Ema(model.named_parameters(), decay=0.9)
    moved(model, 1)
    ema.update()
    before, averages = weights_of(model), ema.state_dict()["averages"]
    with ema.applied():
        assert all(torch.equal(weight, averages[name]) for name, weight in weights_of(model).items())
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(model).items())
    assert all(torch.equal(average, averages[name]) for name, average in ema.state_dict()["averages"].items())


def test_applied_restores_the_weights_when_the_block_fails():
    model = model_of()
    ema = Ema(model.named_parameters(), decay=0.9)
    moved(model, 1)
    before = weights_of(model)
    with pytest.raises(ZeroDivisionError), ema.applied():
        raise ZeroDivisionError
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(model).items())


def test_saved_and_loaded_it_continues_exactly(tmp_path):
    unbroken, resumed = model_of(), model_of()
    one = Ema(unbroken.named_parameters(), decay=0.99)
    for step in range(6):
        moved(unbroken, step)
        one.update()
        if step == 2:
            one.save(tmp_path)
            resumed.load_state_dict(unbroken.state_dict())
    other = Ema(resumed.named_parameters(), decay=0.99)
    other.load(tmp_path)
    for step in range(3, 6):
        moved(resumed, step)
        other.update()
    assert other.updates == one.updates == 6
    for name, average in one.state_dict()["averages"].items():
        assert torch.equal(average, other.state_dict()["averages"][name])


def test_loading_from_a_checkpoint_without_average_says_so(tmp_path):
    with pytest.raises(ConfigError, match="no weight average in .* started without one"):
        Ema(model_of().named_parameters(), decay=0.9).load(tmp_path)


def test_loading_the_average_of_other_weights_names_one(tmp_path):
    Ema(nn.Linear(3, 2).named_parameters(), decay=0.9).save(tmp_path)
    assert (tmp_path / EMA_FILE).is_file()
    with pytest.raises(ConfigError, match=r"1 differ, such as weight \(saved \(2, 3\), here \(2, 5\)\)"):
        Ema(nn.Linear(5, 2).named_parameters(), decay=0.9).load(tmp_path)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_out_of_range_is_refused(decay):
    with pytest.raises(ConfigError, match=r"must be in \[0, 1\)"):
        Ema(model_of().named_parameters(), decay)


def test_nothing_to_average_is_refused():
    with pytest.raises(ConfigError, match="no weights to average"):
        Ema([("step", torch.tensor(3))], decay=0.9)
