"""What is measured: a random model of a known shape, or the model of a bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.contenders.contender import Workbench, versions_key
from benchmarks.contenders.model import V3_SMALL, ModelShape, write_checkpoint
from shared.bundle import Bundle
from shared.environment import cache_root
from shared.errors import BundleFormatError


@dataclass(frozen=True)
class Subject:
    """What is measured: where contenders find it, its sizes, and what to call it in a report."""

    bench: Workbench
    shape: ModelShape
    title: str


def random_subject(shape: ModelShape = V3_SMALL, cache: Path | None = None) -> Subject:
    """A random model of this shape, saved once."""
    root = (cache or cache_root() / "benchmarks") / shape.key
    key = versions_key("transformers")
    checkpoint = Workbench(root, root).prepared("checkpoint", key, lambda folder: write_checkpoint(shape, folder))
    return Subject(Workbench(checkpoint, root), shape, f"a DeBERTa of the size of {shape.name}, random weights")


def bundle_subject(path: Path, cache: Path | None = None) -> Subject:
    """A bundle's model; our contenders run the bundle's own exports.

    Raises:
        BundleError: when it cannot be read.
        BundleFormatError: when its encoder has no sizes this report knows.
    """
    bundle = Bundle.read(path)
    root = (cache or cache_root() / "benchmarks") / f"bundle-{bundle.seal[:12]}"
    return Subject(Workbench(bundle.path, root, bundle.path), _shape_of(bundle), f"the model of {path}")


def _shape_of(bundle: Bundle) -> ModelShape:
    config = json.loads((bundle.path / "config.json").read_text(encoding="utf-8"))
    try:
        shape = replace(
            V3_SMALL,
            name=bundle.path.resolve().parent.name,
            layers=int(config["num_hidden_layers"]),
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            inner=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
        )
    except KeyError as missing:
        raise BundleFormatError(
            f"config.json of {bundle.path} has no {missing}: the report cannot tell the work of this encoder."
        ) from missing
    return replace(shape, pooling=bundle.manifest.pooling)
