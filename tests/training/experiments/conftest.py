"""Runs that are not the subject: they leave what a run leaves, with metrics that the test names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from training.experiments import results, trials
from training.experiments.trials import METRICS
from training.runtime.run_folder import RunFolder


def metrics(macro_f1: float, fixed: float = 0.3) -> dict:
    metrics = dict.fromkeys(METRICS, 0.1) | {"macro_f1": macro_f1}
    policies = {"f1": {"macro_f1": macro_f1}, "fixed_0.2": {"macro_f1": fixed}}
    return {
        "dev": {**metrics, "policies": policies, "intervals": {"macro_f1": [macro_f1 - 0.01, macro_f1 + 0.01]}},
        "test": {**metrics, "macro_f1": macro_f1 - 0.02},
    }


@dataclass
class FakeRuns:
    """Stands for `training.run.run`; `score` gives the macro F1 on dev of a configuration, or fails half-way."""

    score: object = lambda config: 0.5
    data: str = "a" * 64
    made: list = field(default_factory=list)

    def __call__(self, config, callbacks=(), resumed_by=None):
        self.made.append(config)
        folder = RunFolder(config.run_dir)
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        folder.logs.mkdir(exist_ok=True)
        folder.note_data(self.data, begun=config.run.resume)
        config.write(folder.config)
        score = self.score(config)
        folder.bundle.mkdir()
        (folder.bundle / "metrics.json").write_text(json.dumps(metrics(score)))
        (folder.path / "finished").touch()


@dataclass
class FakeBundle:
    """Stands for `shared.bundle.Bundle`."""

    path: Path

    @classmethod
    def read(cls, path):
        return cls(path)

    def metrics(self):
        return json.loads((self.path / "metrics.json").read_text())


@pytest.fixture
def runs(monkeypatch):
    """The runs made, in order; each leaves a bundle and no model."""
    fake = FakeRuns()
    monkeypatch.setattr(trials, "run", fake)
    monkeypatch.setattr(trials, "Bundle", FakeBundle)
    monkeypatch.setattr(trials, "fingerprint_of", lambda config: fake.data)
    monkeypatch.setattr(results, "compare_bundles", lambda words, options: list(words))
    monkeypatch.setattr(results, "comparison_text", lambda words: "compared: " + ", ".join(words))
    return fake
