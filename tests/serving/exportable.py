"""A sealed bundle of a tiny random classifier, with reference rows it really gave: what `serving.export` needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from shared.bundle import seal
from shared.calibration import Calibration
from shared.files import write_json
from shared.reference import Reference
from shared.thresholds import Policies
from shared.tokenizer import TextTokenizer
from tests.helpers import WORDS, tiny_checkpoint

LABELS = ("joy", "sadness", "anger", "fear")
MAX_LENGTH = 24
SPREAD = 2.0
"""Standard deviation of every label's logits, around 0."""


def sample_texts(count: int, seed: int = 0) -> list[str]:
    """Texts of 1 to 40 words, some longer than MAX_LENGTH."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(1, 41))) for _ in range(count)]


def exportable_bundle(
    folder: Path, *, rows: int = 60, pooling: str = "cls", family: str = "deberta-v2", **config: object
) -> Path:
    """Write a bundle of a random classifier; its labels are its own decisions at 0.5, a tenth of them turned over."""
    import torch

    from shared.modeling.classifier import build_classifier, load_classifier

    checkpoint = tiny_checkpoint(folder.parent / f"{folder.name}_checkpoint", family=family, **config)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_classifier(checkpoint, labels=LABELS, pooling=pooling)
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint / name, folder / name)
    tokenizer = TextTokenizer.from_file(folder / "tokenizer.json", max_length=MAX_LENGTH)
    texts = sample_texts(rows)
    raw = trained_logits(model.eval(), tokenizer, texts)
    scale = torch.from_numpy(SPREAD / raw.std(axis=0))
    model.classifier.weight.data.mul_(scale[:, None])
    model.classifier.bias.data.sub_(torch.from_numpy(raw.mean(axis=0))).mul_(scale)
    model.save_pretrained(folder)
    write_companions(folder, texts, trained_logits(load_classifier(folder), tokenizer, texts))
    seal(
        folder, labels=LABELS, task="multi_label", pooling=pooling, max_length=MAX_LENGTH,
        head_tokens=tokenizer.head_tokens, provenance={},
    )  # fmt: skip
    return folder


def trained_logits(classifier: object, tokenizer: TextTokenizer, texts: list[str]) -> np.ndarray:
    """Logits of the torch model, one text at a time, shape (N, L)."""
    import torch

    rows = []
    with torch.no_grad():
        for row in tokenizer.encode(texts):
            inputs = {name: torch.from_numpy(array) for name, array in tokenizer.pad([row]).items()}
            rows.append(classifier(**inputs).logits.numpy()[0])
    return np.stack(rows)


def write_companions(folder: Path, texts: list[str], logits: np.ndarray) -> None:
    """Calibration, thresholds, metrics and reference rows."""
    calibration = Calibration("temperature", np.full(len(LABELS), 1.5), fitted_on="dev")
    calibration.write(folder / "calibration.json")
    policies = {"f1": np.linspace(0.4, 0.6, len(LABELS)), "half": np.full(len(LABELS), 0.5)}
    Policies(LABELS, policies, "dev").write(folder / "thresholds.json")
    write_json(folder / "metrics.json", {"dev": {"macro_f1": 0.5}})
    truth = calibration.apply(logits) >= 0.5
    turned = np.random.default_rng(0).random(truth.shape) < 0.1
    Reference(
        row_ids=np.array([f"row{i}" for i in range(len(texts))]), texts=texts, labels=(truth ^ turned).astype(np.uint8),
        known=np.ones(truth.shape, dtype=bool), logits=logits, split="dev",
    ).write(folder / "reference.npz")  # fmt: skip
