"""The bundle of a trained model: everything written to a temporary folder, checked, sealed and moved into place."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from shared.aggregation import Aggregation
from shared.bundle import Bundle, seal
from shared.calibration import Calibration
from shared.environment import package_versions, source_revision
from shared.errors import ModelError
from shared.files import file_digests, replacing_folder, write_json
from shared.intensity import Readout
from shared.modeling.checkpoints import resolve_checkpoint, weights_digest
from shared.modeling.classifier import load_classifier
from shared.modeling.token_types import KEY as SEPARATOR_KEY
from shared.modeling.tokenizer_files import save_tokenizer
from shared.profiles import FOLDER as PROFILES
from shared.profiles import Profile
from shared.reference import Reference
from shared.thresholds import Policies
from training.config import Config
from training.data.corpus import Corpus, Splits
from training.data.languages import language_counts
from training.evaluation.scoring import SplitPredictions
from training.model.classifier import TokenizerPair, pooling_of
from training.model.inference import predict_logits
from training.runtime.resources import disk_errors

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "numpy",
    "scipy",
    "datasets",
    "emoji",
    "crepes",
)
RELOAD_ROWS = 64
RELOAD_TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest, between the trained model and the one read back from the
bundle. Their weights are the same to the last bit, so more than the rounding of another batch is a lost option."""


@dataclass(frozen=True)
class Trained:
    """A trained classifier with what was fitted on dev.

    Attributes:
        model: updates merged, in float32 on the CPU.
        tokenizer: that of the model.
        calibration: temperatures.
        policies: thresholds.
        metrics: by split.
        dev: labels and logits of the dev split.
        aggregation: how segments become a text.
        profiles: decisions of single languages, by name.
        readout: what the logits mean in the task intensity, which has no calibration, policies and aggregation.
    """

    model: PreTrainedModel
    tokenizer: TokenizerPair
    calibration: Calibration
    policies: Policies
    metrics: Mapping[str, Any]
    dev: SplitPredictions
    aggregation: Aggregation = field(default_factory=Aggregation)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    readout: Readout | None = None

    def write_readings(self, folder: Path) -> None:
        """Write what the logits mean: calibration and decisions, or scale and intervals of intensities."""
        if self.readout is not None:
            self.readout.write(folder)
            return
        self.calibration.write(folder / "calibration.json")
        self.policies.write(folder / "thresholds.json")
        self.aggregation.write(folder)
        for name, profile in self.profiles.items():
            profile.write(folder / PROFILES / name)


def publish(
    target: Path,
    trained: Trained,
    *,
    config: Config,
    data: Splits,
    pages: Mapping[str, str],
    provenance: Mapping[str, Any],
) -> Bundle:
    """Write the bundle at `target`; an older one stays until the new one is complete.

    Args:
        target: the bundle's folder.
        trained: model, calibration, policies and metrics.
        config: the resolved configuration.
        data: the splits it was trained and fitted on.
        pages: further text files by name: the resolved configuration, the report and the model card.
        provenance: where everything came from.

    Raises:
        ModelError: when the model read back is not the trained one.
        OSError: when the disk is full.
    """
    tokens = trained.tokenizer.tokens
    with disk_errors(), replacing_folder(target) as folder:
        trained.model.save_pretrained(folder, max_shard_size="1TB")
        typed = getattr(trained.model.config, SEPARATOR_KEY, None) is not None
        save_tokenizer(trained.tokenizer.source, folder, max_length=tokens.max_length, token_types=typed)
        trained.write_readings(folder)
        write_json(folder / "metrics.json", trained.metrics)
        reference(data.dev, trained.dev, graded=trained.readout is not None).write(folder / "reference.npz")
        for name, content in pages.items():
            (folder / name).write_text(content, encoding="utf-8")
        for path in (path for path in folder.iterdir() if path.is_file()):
            path.chmod(0o644)  # safetensors writes for the owner alone
        _check_reload(folder, trained, data.dev)
        seal(
            folder, labels=data.labels.names, task=config.task.value, pooling=pooling_of(config.model),
            max_length=tokens.max_length, head_tokens=tokens.head_tokens, normalisation=tokens.normalisation,
            provenance=provenance, context=tokens.context, specials_as_text=tokens.specials_as_text,
            scale=None if trained.readout is None else trained.readout.scale,
        )  # fmt: skip
    return Bundle.read(target, check_files=False)


def reference(corpus: Corpus, split: SplitPredictions, *, graded: bool = False) -> Reference:
    """The rows kept for verification; `graded` keeps the intensities too."""
    return Reference(
        row_ids=np.array(corpus.ids, dtype=np.str_),
        texts=list(corpus.texts),
        labels=split.truth.astype(np.uint8),
        known=split.known,
        logits=split.logits,
        split=split.name,
        shares=split.targets if graded else None,
    )


def _check_reload(folder: Path, trained: Trained, corpus: Corpus) -> None:
    """Compare weights and logits of the model that was written; both are computed on the CPU."""
    model = load_classifier(folder)
    written, weights = model.state_dict(), trained.model.state_dict()
    changed = [
        name for name in written.keys() | weights.keys()
        if name not in written or name not in weights or not torch.equal(written[name], weights[name])
    ]  # fmt: skip
    if changed:
        raise ModelError(
            f"{len(changed)} weights read back from the bundle are not those of the trained model, such as "
            f"{min(changed)}, so no bundle was written."
        )
    rows = [row.ids for row in trained.tokenizer.tokens.encode(corpus.texts[:RELOAD_ROWS])]
    again = predict_logits(model, trained.tokenizer.tokens, rows, batch_size=RELOAD_ROWS)
    expected = trained.dev.logits[:RELOAD_ROWS]
    difference, allowed = float(np.abs(again - expected).max()), RELOAD_TOLERANCE * max(1.0, np.abs(expected).max())
    if not difference <= allowed:
        raise ModelError(
            f"the model read back from the bundle differs from the trained one by {difference:.2g} in a logit although "
            f"its weights are the same (rounding explains {allowed:.2g}), so no bundle was written."
        )


def _digests(origin: str) -> list[str]:
    """sha256 of a corpus' files, in the order of their names; none of one that was not read from the disk."""
    return list(file_digests(Path(origin)).values())


def describe_origin(config: Config, data: Splits, training: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance: source revision, data, seeds, versions and base checkpoint."""
    base = {"name": config.model.name, "sha256": weights_digest(resolve_checkpoint(config.model.name))}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "source_revision": source_revision(),
        "base_checkpoint": base,
        "data": {
            "fingerprint": data.fingerprint,
            "sources": [
                {"kind": info.kind, "origin": info.origin, "licence": info.licence, "files": _digests(info.origin)}
                for info in data.sources
            ],
            "languages": {name: language_counts(part) for name, part in data.named().items()},
        },
        "seeds": {"training": config.run.seed, "data": config.data.seed},
        "training": dict(training),
        "versions": package_versions(PACKAGES),
        "machine": {"system": platform.system(), "processor": platform.machine()},
    }
