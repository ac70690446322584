"""The files that hold a bundle's trained weights: one, or two where it shares all but the last layer with its parent.

Two are what transformers calls a sharded checkpoint, with its index, so that whatever reads one reads the other. The
first is the parent's file as it is; the last layer that still stands in it gives way to that of the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

WEIGHTS = "model.safetensors"
SHARED_WEIGHTS = "model-00001-of-00002.safetensors"
LAYER_WEIGHTS = "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def weights_files(names: Collection[str]) -> tuple[str, ...]:
    """Which of the files of a bundle hold its weights, in the order in which they are read."""
    return (SHARED_WEIGHTS, LAYER_WEIGHTS) if INDEX in names else (WEIGHTS,)


def weights_sha256(files: Mapping[str, str]) -> str:
    """What names the weights of a bundle, of its files and their sha256: that of the one file, or one over both."""
    return digest_of([files[name] for name in weights_files(files)])


def digest_of(digests: Iterable[str]) -> str:
    """What names weights by the sha256 of their files, in the order of the files: that of one file is its own."""
    found = list(digests)
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest()
