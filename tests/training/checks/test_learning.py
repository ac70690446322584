"""Checks of model and loss, each proved by breaking what it checks."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from shared.errors import PreflightError
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_rows
from training.checks.check import run_checks
from training.checks.learning import learning_checks
from training.checks.trial import STEPS, Trial
from training.config import Config, OptimConfig, TuningConfig
from training.losses.elementwise import asymmetric, focal, over_known_entries
from training.model.tuning import apply_tuning

CONFIG = Config(optim=OptimConfig(head_lr=None, lr=1e-3, batch_size=8))


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return build_classifier(tiny_model, labels=LABELS, pooling="mean")


@pytest.fixture
def rows(tiny_model):
    return tiny_rows(CONFIG, tiny_model)


def check(name, model, rows, config=CONFIG):
    return run_checks([found for found in learning_checks(model, rows, config) if found.name == name])


@pytest.mark.parametrize("method", ["full", "lora", "partial"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_sound_model_passes_with_every_tuning_method(tiny_model, rows, method, pooling):
    model = build_classifier(tiny_model, labels=LABELS, pooling=pooling)
    tuned = apply_tuning(model, TuningConfig(method=method, rank=2, top_layers=1))
    lines = run_checks(learning_checks(tuned, rows, CONFIG))
    assert [line.split(":")[0] for line in lines] == ["initial_loss", "outputs", "padding", "one_batch", "gradients"]


def test_the_model_and_the_random_state_are_left_as_they_were(model, rows):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, training = torch.get_rng_state(), model.training
    run_checks(learning_checks(model, rows, CONFIG))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training is training
    assert all(weight.grad is None for weight in model.parameters())


def test_the_loss_of_one_batch_is_followed_for_twenty_steps(model, rows):
    losses = Trial.of(model, rows, CONFIG).losses
    assert len(losses) == STEPS + 1
    assert losses[-1] < losses[0]


def test_a_weight_that_no_gradient_reaches_is_named(model, rows):
    model.forgotten = nn.Linear(2, 2)
    with pytest.raises(PreflightError, match=r"no gradient reaches 2 of \d+ trainable weights: forgotten.weight"):
        check("gradients", model, rows)


def test_a_model_with_nothing_to_train_is_refused(model, rows):
    model.requires_grad_(False)
    model.dummy = nn.Parameter(torch.zeros(1))
    constant = replace(rows, loss=lambda logits, *_: 1.0 + 0.0 * logits.sum() + 0.0 * model.dummy.sum())
    with pytest.raises(PreflightError, match=r"no trained weight gets a gradient"):
        check("one_batch", model.requires_grad_(True), constant)


def test_an_encoder_that_passes_nothing_on_is_found(model, rows):
    with torch.no_grad():
        model.get_submodule(model.base_model_prefix).embeddings.word_embeddings.weight.zero_()
        next(m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 3).weight.zero_()
    with pytest.raises(PreflightError, match="the logits of 8 different texts are the same"):
        check("outputs", model, rows)


def test_weights_that_are_not_finite_are_named(model, rows):
    name, weight = next(iter(model.named_parameters()))
    with torch.no_grad():
        weight.fill_(float("nan"))
    with pytest.raises(PreflightError, match=rf"is nan; the weights of {name} are not finite"):
        check("initial_loss", model, rows)


def test_a_head_that_is_far_too_large_is_found(model, rows):
    with torch.no_grad():
        next(m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 3).bias.fill_(50.0)
    with pytest.raises(PreflightError, match=r"while guessing \(all logits 0\) has 0.69"):
        check("initial_loss", model, rows)


@pytest.mark.parametrize(
    ("lr", "message"),
    [(1e6, r"optim.lr 1e\+06 with sgd is too high. Lower"), (1e-20, "is too low to move the weights")],
)
def test_a_rate_that_does_not_suit_is_told(model, rows, lr, message):
    config = replace(CONFIG, optim=OptimConfig(head_lr=None, lr=lr, optimizer="sgd", batch_size=8, clip_norm=0.0))
    with pytest.raises(PreflightError, match=message):
        check("one_batch", model, rows, config)


def zeroed(rows, **columns):
    def change(row):
        return {**row, **{name: [value] * len(LABELS) for name, value in columns.items()}}

    return replace(rows, train=[change(row) for row in rows.train])


def fitted(model, value):
    with torch.no_grad():
        head = next(m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 3)
        head.weight.zero_()
        head.bias.fill_(value)
    return model


def test_a_loss_of_zero_is_explained_by_its_cause(model, rows):
    with pytest.raises(PreflightError, match=r"the loss is 0.0000: no entry of the batch is annotated"):
        check("initial_loss", model, zeroed(rows, known=False))
    nothing = over_known_entries(lambda logits, _: 0.0 * logits)
    with pytest.raises(PreflightError, match="zero even for all logits 0, so its weights or shares are 0"):
        check("initial_loss", model, replace(rows, loss=nothing))
    margin = replace(zeroed(rows, labels=0.0), loss=over_known_entries(asymmetric(4.0, 1.0, 0.05)))
    with pytest.raises(PreflightError, match="no row of the batch has a label, and the model expects none"):
        check("initial_loss", fitted(model, -4.0), margin)
    with pytest.raises(PreflightError, match="the model already fits the batch"):
        check("initial_loss", fitted(model, 20.0), zeroed(rows, labels=1.0))


@pytest.mark.parametrize("loss", [focal(), asymmetric(4.0, 1.0, 0.05)])
@pytest.mark.parametrize("every", [5, 47])
def test_rows_with_a_label_are_looked_for_where_most_have_none(model, rows, loss, every):
    none = zeroed(rows, labels=0.0).train
    few = [row if place % every == 1 else none[place] for place, row in enumerate(rows.train)]
    check("initial_loss", fitted(model, -5.0), replace(rows, train=few, loss=over_known_entries(loss)))


def test_a_softmax_over_one_label_is_explained(tiny_model, rows):
    from training.losses.elementwise import softmax_cross_entropy

    alone = build_classifier(tiny_model, labels=("joy",), pooling="mean")
    one = [{**row, "labels": [1.0], "known": [True]} for row in rows.train]
    with pytest.raises(PreflightError, match="a softmax over one label is always 1"):
        check("initial_loss", alone, replace(rows, train=one, loss=softmax_cross_entropy(0.0)))
