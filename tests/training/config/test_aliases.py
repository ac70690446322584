"""The hint for an unknown key: the field's other names, then spelling, and none that misleads."""

import dataclasses

import pytest

from tests.training.config.test_parser import fails
from training.config import Config
from training.config.aliases import SYNONYMS, meant_key


def keys(content, prefix=""):
    for field in dataclasses.fields(content):
        value = getattr(content, field.name)
        if dataclasses.is_dataclass(value):
            yield from keys(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


KEYS = list(keys(Config()))


def test_every_synonym_stands_for_a_key_that_exists():
    assert set(SYNONYMS.values()) <= set(KEYS)


def test_no_synonym_hides_a_key():
    assert not {name for name in SYNONYMS if name in KEYS}


@pytest.mark.parametrize("section", ["", "optim.", "training."])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("learning_rate", "optim.lr"),
        ("learning-rate", "optim.lr"),
        ("per_device_train_batch_size", "optim.batch_size"),
        ("train_batch_size", "optim.batch_size"),
        ("num_train_epochs", "optim.epochs"),
        ("gradient_accumulation_steps", "optim.accumulation"),
        ("max_seq_length", "data.max_length"),
        ("lora_r", "tuning.rank"),
        ("r", "tuning.rank"),
        ("lora_alpha", "tuning.alpha"),
        ("max_grad_norm", "optim.clip_norm"),
        ("model_name_or_path", "model.name"),
        ("report_to", "watch.trackers"),
    ],
)
def test_names_of_other_libraries_are_known_in_any_section(section, name, key):
    assert meant_key(section + name, KEYS) == key


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("optim.lrr", "optim.lr"),  # a slip
        ("optim.weightdecay", "optim.weight_decay"),
        ("optim.learing_rate", "optim.lr"),  # a slip in another library's name
        ("optm.lr", "optim.lr"),  # a slip in the section
        ("optm.batch_size", "optim.batch_size"),
        ("train.weight_decay", "optim.weight_decay"),  # the right name in a section that does not exist
        ("warmup_ratio", "optim.warmup_ratio"),
        ("eval.batchsize", "eval.batch_size"),  # the same section before others
        ("calibration.precision", "calibration.precision_target"),  # its beginning
        ("tuning.gradient_checkpointing", "optim.gradient_checkpointing"),  # the very name, elsewhere
        ("loss.aplha", "loss.alpha"),
    ],
)
def test_spelling_prefers_the_same_section(asked, key):
    assert meant_key(asked, KEYS) == key


@pytest.mark.parametrize(
    "asked", ["optim.foo", "bogus", "optim.rate_of_change", "watch.everything", "x.name", "lerning"]
)
def test_no_hint_rather_than_one_that_misleads(asked):
    assert meant_key(asked, KEYS) is None


def test_only_keys_of_the_command_are_suggested():
    assert meant_key("learning_rate", ["batch_size", "data.path"]) is None


def test_the_message_names_it():
    assert "unknown key 'optim.learning_rate' on the command line (did you mean 'optim.lr'?)" in fails(
        "--optim.learning_rate=1e-4"
    )
