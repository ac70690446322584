"""A run leaves the process as it found it, whether it ends well or not."""

from __future__ import annotations

import logging
import os
import random
import signal

import numpy as np
import pytest
import torch
from huggingface_hub.utils import are_progress_bars_disabled
from transformers.utils import logging as hf_logging

from shared.errors import EmotionError
from training.config import load
from training.run import run
from training.runtime.session import Session, process_as_found

LOG = logging.getLogger("training")


def seen():
    """All that a run may change in its process."""
    return {
        "handlers": LOG.handlers[:],
        "propagate": LOG.propagate,
        "level": LOG.level,
        "environment": dict(os.environ),
        "threads": torch.get_num_threads(),
        "verbosity": hf_logging.get_verbosity(),
        "bars": (hf_logging.is_progress_bar_enabled(), are_progress_bars_disabled()),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "random": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
    }


@pytest.fixture
def options(arguments):
    pairs = [argument[2:].split("=", 1) for argument in arguments]
    return {**dict(pairs), "optim.epochs": 1, "run.threads": 2}


def test_a_run_changes_nothing_in_its_process(options, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    before = seen()
    bundle = run(load(None, options), link_latest=False)
    assert bundle is not None
    assert {name: value for name, value in seen().items() if value != before[name]} == {}


def test_a_run_that_fails_changes_nothing_either(options):
    before = seen()
    with pytest.raises(EmotionError, match="looked for /nowhere/x.csv"):
        run(load(None, {**options, "data.path": "/nowhere/x.csv"}))
    assert seen() == before


def disturb(changed):
    """Change every one of them, note them in `changed`, then fail.

    Raises:
        ZeroDivisionError: always.
    """
    LOG.addHandler(logging.NullHandler())
    LOG.propagate = not LOG.propagate
    LOG.setLevel(logging.CRITICAL)
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    os.environ.pop("PATH")
    torch.set_num_threads(torch.get_num_threads() + 1)
    hf_logging.set_verbosity_debug()
    # tests before this one may have left them off
    (hf_logging.disable_progress_bar if hf_logging.is_progress_bar_enabled() else hf_logging.enable_progress_bar)()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    random.random(), np.random.rand(), torch.rand(1)
    changed.update(seen())
    raise ZeroDivisionError


def test_each_of_them_is_brought_back():
    before = seen()
    changed = {}
    with pytest.raises(ZeroDivisionError), process_as_found():
        disturb(changed)
    assert [name for name in before if changed[name] == before[name]] == []
    assert seen() == before


def test_a_run_without_a_complete_checkpoint_is_resumed_from_the_beginning_and_says_so(tmp_path, capfd):
    config = load(None, {"run.name": "a", "run.output_dir": str(tmp_path), "run.resume": True})
    cut_off = config.run_dir / "checkpoints/checkpoint-3"
    cut_off.mkdir(parents=True)
    (cut_off / "trainer_state.json").write_text('{"cut', encoding="utf-8")
    config.write(config.run_dir / "training.yaml")
    with Session(config) as session:
        assert session.prepare() is None
    assert f"No complete checkpoint in {cut_off.parent}: starting from the beginning" in capfd.readouterr().err
    assert "starting from the beginning" in (config.run_dir / "logs/run.log").read_text(encoding="utf-8")
