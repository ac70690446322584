"""Bundles on the Hugging Face hub, through `huggingface_hub`: sent as they are, and checked like any other when loaded.

Tested against a local stand-in of the hub's HTTP API (tests/emotion_classifiers/hub.py), not against the hub itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from shared.aggregation import FILE as AGGREGATION
from shared.bundle import ONNX_FOLDER, Bundle
from shared.errors import ConfigError, ModelNotFoundError
from shared.intensity import FILE as INTENSITY
from shared.profiles import FOLDER as PROFILES
from shared.weights import INDEX

SCHEME = "hf://"
INSTALL = "Run: pip install huggingface_hub"
NOT_OF_EVERY_BUNDLE = ("model*.safetensors", INDEX, AGGREGATION, INTENSITY, f"{ONNX_FOLDER}/*", f"{PROFILES}/*")
"""Files that one bundle has and another has not: where they stay in a repository, whoever loads it would take them."""


def local_folder(path: str | PathLike[str]) -> Path:
    """The folder that `path` names: itself, or the copy of a repository on the hub, downloaded once.

    Args:
        path: a folder, or "hf://owner/name[@revision]".

    Raises:
        ModelNotFoundError: when the hub has no such repository, or cannot be reached.
    """
    name = fspath(path)
    if not name.startswith(SCHEME):
        return Path(name)
    repository, _, revision = name.removeprefix(SCHEME).partition("@")
    return download(repository, revision=revision or None)


def download(
    repository: str,
    *,
    repo_type: str = "model",
    revision: str | None = None,
    allow_patterns: Sequence[str] | None = None,
) -> Path:
    """Folder with the files of a repository on the hub; files already in the hub's cache are not loaded again.

    Args:
        repository: "owner/name".
        repo_type: model or dataset.
        revision: branch, tag or commit; the main branch when None.
        allow_patterns: only files with such names.

    Raises:
        ModelNotFoundError: when the hub has no such repository, or cannot be reached.
    """
    hub = _hub()
    patterns = list(allow_patterns) if allow_patterns else None
    try:
        return Path(
            hub.snapshot_download(repository, repo_type=repo_type, revision=revision, allow_patterns=patterns)
        )  # fmt: skip
    except Exception as error:  # the hub's client and what it sends by raise types of their own
        raise ModelNotFoundError(
            f"{SCHEME}{repository}{f'@{revision}' if revision else ''} cannot be loaded: {_first_line(error)}.",
            hint="Check the name, the network and, for a private repository, $HF_TOKEN.",
        ) from error


def push_to_hub(
    bundle: str | PathLike[str],
    repository: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str = "Upload an emotion classifier",
) -> str:
    """Send a bundle, made sure that it is whole, to a repository on the hub, which is made if it is not there.

    It takes the place of a bundle that was there before.

    Args:
        bundle: the bundle's folder.
        repository: "owner/name".
        private: whether a new repository is private; the account's default when None.
        token: of the account; $HF_TOKEN or the stored login when None.
        message: of the commit.

    Returns:
        Address of the commit; `load("hf://owner/name")` reads the bundle back.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed.
        ConfigError: when the hub refuses, or cannot be reached.
    """
    hub = _hub()
    folder = Bundle.read(fspath(bundle)).path
    api = hub.HfApi(token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=message, delete_patterns=list(NOT_OF_EVERY_BUNDLE)
        )
    except Exception as error:  # as above
        raise ConfigError(
            f"the bundle could not be sent to {repository}: {_first_line(error)}.",
            hint="Check the name, the network and $HF_TOKEN (it needs the right to write).",
        ) from error
    return str(commit.commit_url)


def repository_of(folder: Path) -> str | None:
    """Name without owner of the repository whose copy in the hub's cache a folder is; None for any other folder.

    Layout of the cache: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    path = folder.absolute()
    repository = path.parent.parent.name
    return repository.split("--")[-1] if path.parent.name == "snapshots" and repository.startswith("models--") else None


def _hub() -> Any:
    try:
        import huggingface_hub  # noqa: PLC0415  (only the hub needs it)
    except ImportError:
        raise ConfigError("the hub needs the package huggingface_hub.", hint=INSTALL) from None
    return huggingface_hub


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines)[:300].rstrip(".")
