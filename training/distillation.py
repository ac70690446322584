"""Learning from teachers: their logits for the training rows, and the loss that mixes them with the labels.

Shapes: N examples, L labels.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from shared.bundle import Bundle
from shared.errors import ConfigError
from shared.files import replacing_file
from shared.labels import LabelSet
from shared.modeling.classifier import load_classifier
from shared.modeling.device import torch_device
from training.config import DistillConfig
from training.data.corpus import Corpus
from training.data.encode import NOT_WRITABLE
from training.losses.elementwise import masked_mean
from training.model.inference import predict_logits
from training.runtime.resources import choose_precision


@dataclass(frozen=True)
class Distillation:
    """(1 - w) x loss on the labels + w x T^2 x cross-entropy of the student's probabilities with the teacher's at T.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531, section 2: T^2 keeps the size of the gradient whatever T is;
    for one label it is w T (sigmoid(z / T) - sigmoid(teacher / T)). Entries that are unknown have no part in it.

    Attributes:
        weight: w, in 0..1; 0 is training alone.
        temperature: T, above 0.
        activation: `sigmoid` for every label by itself, `softmax` for one label a text.
    """

    weight: float
    temperature: float
    activation: Literal["sigmoid", "softmax"] = "sigmoid"

    def __call__(self, loss: Tensor, logits: Tensor, teacher: Tensor, known: Tensor) -> Tensor:
        """The mixed loss, a scalar.

        Args:
            loss: on the labels, a scalar.
            logits: of the student, shape (N, L).
            teacher: its logits, shape (N, L).
            known: entries to learn from, shape (N, L).
        """
        if not self.weight:
            return loss
        student, taught = logits.float() / self.temperature, teacher.float() / self.temperature
        cross_entropy = _softmax if self.activation == "softmax" else _sigmoid
        return (1.0 - self.weight) * loss + self.weight * self.temperature**2 * cross_entropy(student, taught, known)


def _sigmoid(student: Tensor, taught: Tensor, known: Tensor) -> Tensor:
    losses = functional.binary_cross_entropy_with_logits(student, taught.sigmoid(), reduction="none")
    return masked_mean(losses, known)


def _softmax(student: Tensor, taught: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy over the known labels of every row, averaged over N; a row without any counts 0."""
    hidden = ~known & known.any(dim=1, keepdim=True)
    shares = taught.masked_fill(hidden, float("-inf")).softmax(dim=1)
    log_p = student.masked_fill(hidden, float("-inf")).log_softmax(dim=1)
    return -(shares * log_p.masked_fill(~known, 0.0)).sum(dim=1).mean()


FORMAT = "2"
"""Part of every key; raised when the files change, so that older ones are not read."""
log = logging.getLogger("training")


def read_teachers(config: DistillConfig, labels: LabelSet, task: str) -> list[Bundle]:
    """The teachers' bundles, none when nothing is asked for.

    Args:
        config: their folders.
        labels: of the student; a teacher may have them in another order.
        task: of the student.

    Raises:
        BundleError: when a teacher cannot be read.
        ConfigError: when its labels or its task are others than the student's.
    """
    if not config.weight:
        return []
    teachers = [Bundle.read(path) for path in config.teachers]
    for teacher in teachers:
        _check_labels(teacher, labels)
        if teacher.manifest.task != task:
            raise ConfigError(
                f"the teacher {teacher.path} is made for a {teacher.manifest.task} task, this run for {task}.",
                hint="Choose another in distill.teachers, or another loss.name.",
            )
    return teachers


def _check_labels(teacher: Bundle, labels: LabelSet) -> None:
    lacking = [name for name in labels.names if name not in teacher.manifest.labels]
    further = [name for name in teacher.manifest.labels if name not in labels.names]
    if lacking or further:
        parts = [f"{what}: {', '.join(names)}" for what, names in (("lacking", lacking), ("further", further)) if names]
        raise ConfigError(
            f"the teacher {teacher.path} has other labels than this run ({'; '.join(parts)}).",
            hint="Teachers need the same label names; give them to this run with data.labels.",
        )


def describe_teachers(config: DistillConfig) -> dict[str, Any]:
    """The teachers with their seals for a bundle's provenance; nothing where there are none."""
    if not config.teachers or not config.weight:
        return {}
    bundles = [Bundle.read(path, check_files=False) for path in config.teachers]
    return {"teachers": [{"bundle": str(bundle.path), "seal": bundle.seal} for bundle in bundles]}


def ensemble_logits(
    teachers: Sequence[Bundle],
    corpus: Corpus,
    labels: LabelSet,
    *,
    batch_size: int,
    cache: Path | None,
    precision: str = "fp32",
) -> NDArray[np.float32]:
    """The mean of the teachers' logits, shape (N, L), in the order of `labels`.

    Args:
        teachers: one or several; each tokenises and cuts texts in its own way.
        corpus: N texts.
        labels: L names.
        batch_size: rows of one forward pass.
        cache: folder where the logits of each teacher are kept; None keeps them nowhere.
        precision: "auto", half precision where training would use it, or "fp32".
    """
    chosen = choose_precision(precision).name
    total = np.zeros((len(corpus), len(labels)), dtype=np.float64)
    for teacher in teachers:
        columns = [teacher.manifest.labels.index(name) for name in labels.names]
        total += _logits(teacher, corpus, batch_size, cache, chosen)[:, columns]
    return (total / len(teachers)).astype(np.float32)


def with_teacher(encoded: datasets.Dataset, logits: NDArray[np.float32]) -> datasets.Dataset:
    """The rows with a further column `teacher` (L each), of logits of shape (N, L)."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), logits.shape[1])
    return datasets.Dataset(encoded.data.table.append_column("teacher", column))


def _logits(
    teacher: Bundle, corpus: Corpus, batch_size: int, cache: Path | None, precision: str
) -> NDArray[np.float32]:
    """Logits in the teacher's own order of labels, from the cache where they are there."""
    key = hashlib.sha256(f"{FORMAT}|{teacher.seal}|{corpus.fingerprint}|{precision}".encode()).hexdigest()[:40]
    path = None if cache is None else cache / f"{key}.npy"
    if path is not None and path.is_file():
        return np.asarray(np.load(path, allow_pickle=False))
    log.info("Teacher %s: logits of %s rows in %s ...", teacher.path, f"{len(corpus):,}", precision)
    logits = _computed(teacher, corpus, batch_size, precision)
    if path is not None:
        _keep(logits, path)
    return logits


def _computed(teacher: Bundle, corpus: Corpus, batch_size: int, precision: str) -> NDArray[np.float32]:
    model, tokenizer = load_classifier(teacher.path), teacher.tokenizer()
    model.to(torch_device())  # type: ignore[arg-type]
    rows = [row.ids for row in tokenizer.encode(corpus.texts)]
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(model.device.type, dtype=half, enabled=half is not None):
        return predict_logits(model, tokenizer, rows, batch_size=batch_size)


def _keep(logits: NDArray[np.float32], path: Path) -> None:
    """Write them, whole or not at all; a cache that cannot be written is done without."""
    try:
        with replacing_file(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, logits)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
