"""The bundle: one sealed folder that holds what was trained, how it decides, and what it was measured at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from shared.aggregation import FILE as AGGREGATION
from shared.aggregation import Aggregation
from shared.calibration import Calibration
from shared.context import ContextFormat
from shared.errors import BundleFormatError, BundleNotFoundError, BundleTamperedError, InvalidInputError
from shared.files import read_json, sha256_file, write_json
from shared.labels import LabelSet, label_difference
from shared.profiles import DEFAULT, Profile, read_profiles
from shared.reference import Reference
from shared.text import NORMALISATIONS, Normalisation
from shared.thresholds import Policies
from shared.tokenizer import TextTokenizer

SCHEMA_VERSION = 3
"""Of `bundle.json`. Older ones are read too: version 2 has no `normalisation`, which is plain there, and version 1 has
the texts of `reference.npz` as an array of strings besides."""

READABLE_VERSIONS = (1, 2, 3)
MANIFEST = "bundle.json"
ONNX_FOLDER = "onnx"
VERIFICATION = "verification.json"
WEIGHTS = "model.safetensors"
REFERENCE = "reference.npz"
REQUIRED = ("config.json", WEIGHTS, "tokenizer.json", "calibration.json", "thresholds.json", "metrics.json",
            REFERENCE)  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """The content of `bundle.json`; `files` maps every sealed file to its sha256."""

    schema_version: int
    labels: tuple[str, ...]
    task: str
    pooling: str
    max_length: int
    head_tokens: int
    normalisation: Normalisation
    files: Mapping[str, str]
    provenance: Mapping[str, Any]
    context: ContextFormat | None = None
    """How previous turns are read; None where the model was trained without, and is asked without."""

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read `bundle.json`.

        Raises:
            BundleFormatError: when a field is missing or the schema version is not the one this code reads.
        """
        content = read_json(path)
        version = content.get("schema_version")
        if version not in READABLE_VERSIONS:
            raise BundleFormatError(
                f"{path} has schema version {str(version)[:40]!r}; this version reads "
                f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}.",
                hint="Train the bundle again, or use the release that wrote it.",
            )
        if version < 3:
            content = {**content, "normalisation": "plain"}
        try:
            fields = {name: content[name] for name in cls.__dataclass_fields__ if name != "context"}
        except KeyError as error:
            raise BundleFormatError(f"{path} lacks the field {error}.") from None
        for name, (is_right, expected) in _FIELDS.items():
            if not is_right(fields[name]):
                raise BundleFormatError(f"{path}: '{name}' is {str(fields[name])[:60]!r}, expected {expected}.")
        try:
            context = None if content.get("context") is None else ContextFormat.from_json(content["context"])
        except ValueError:
            raise BundleFormatError(f"{path}: 'context' does not say how previous turns are read.") from None
        return cls(**{**fields, "labels": tuple(fields["labels"]), "context": context})

    def write(self, path: Path) -> None:
        """Write `bundle.json`."""
        context = {} if self.context is None else {"context": self.context.to_json()}
        write_json(path, {name: value for name, value in asdict(self).items() if name != "context"} | context)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_name_inside(name: Any) -> bool:
    """Whether `name` is a file below the bundle's folder, written plainly."""
    return (
        isinstance(name, str)
        and "\\" not in name
        and name == PurePosixPath(name).as_posix()
        and not (name.startswith("/") or ".." in PurePosixPath(name).parts or name in ("", ".") or "\0" in name)
    )


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "labels": (lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value), "names"),
    "task": (lambda value: isinstance(value, str), "a name"),
    "pooling": (lambda value: isinstance(value, str), "a name"),
    "max_length": (_is_count, "a number of tokens"),
    "head_tokens": (_is_count, "a number of tokens"),
    "normalisation": (lambda value: value in NORMALISATIONS, " or ".join(NORMALISATIONS)),
    "files": (
        lambda value: (
            isinstance(value, dict)
            and all(_is_name_inside(name) and isinstance(digest, str) for name, digest in value.items())
        ),
        "names of files inside the bundle, each with its sha256",
    ),
    "provenance": (lambda value: isinstance(value, dict), "an object"),
}
"""Field of `bundle.json` -> whether a value is of its kind, and the kind in words."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and checked.

    Attributes:
        path: its folder.
        manifest: the content of `bundle.json`.
        calibration: of its default profile, or of the one that `with_profile` chose.
        policies: likewise.
        profiles: name -> further decisions that it holds.
        aggregation: how segments are put together to texts.
    """

    path: Path
    manifest: Manifest
    calibration: Calibration
    policies: Policies
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    aggregation: Aggregation = field(default_factory=Aggregation)

    @classmethod
    def read(cls, path: Path | str, *, check_files: bool = True, weights: bool = True) -> Bundle:
        """Read a bundle and check that its parts agree.

        Args:
            path: the bundle's folder.
            check_files: compare every sealed file's sha256 (reads all of them).
            weights: the trained weights must be there; a bundle packed for serving alone leaves them out.

        Raises:
            BundleNotFoundError: when there is no bundle at `path`.
            BundleFormatError: when a part is missing or the parts disagree.
            BundleTamperedError: when a file is not the one that was sealed.
        """
        folder = Path(path)
        if not (folder / MANIFEST).is_file():
            raise BundleNotFoundError(
                f"no bundle at {folder} ({MANIFEST} is not there).",
                hint="Make one with: python -m training.run",
            )
        manifest = Manifest.read(folder / MANIFEST)
        _check_files(folder, manifest, check_files, weights)
        bundle = cls(
            folder,
            manifest,
            Calibration.read(folder / "calibration.json"),
            Policies.read(folder / "thresholds.json"),
            read_profiles(folder, manifest.files, manifest.labels),
            Aggregation.read(folder) if AGGREGATION in manifest.files else Aggregation(),
        )
        bundle._check_agreement()
        return bundle

    def _check_agreement(self) -> None:
        labels = self.manifest.labels
        LabelSet(labels)
        if self.policies.labels != labels:
            raise BundleFormatError(
                f"thresholds.json and {MANIFEST} disagree: "
                f"{label_difference(self.policies.labels, labels, ('thresholds.json', MANIFEST))}."
            )
        of_texts = self.aggregation.policies
        if of_texts is not None and of_texts.labels != labels:
            raise BundleFormatError(
                f"{AGGREGATION} and {MANIFEST} disagree: "
                f"{label_difference(of_texts.labels, labels, (AGGREGATION, MANIFEST))}."
            )
        sizes = {
            f"labels in {MANIFEST}": len(labels),
            "outputs in config.json": _num_outputs(self.path / "config.json"),
            "temperatures in calibration.json": len(self.calibration.temperatures),
        }
        if len(set(sizes.values())) != 1:
            counted = ", ".join(f"{count} {what}" for what, count in sizes.items())
            raise BundleFormatError(f"the parts of {self.path} disagree: {counted}.")

    @property
    def profile_names(self) -> tuple[str, ...]:
        """Names of the profiles, the default one first."""
        return (DEFAULT, *self.profiles)

    def with_profile(self, name: str | None) -> Bundle:
        """This bundle deciding as one of its profiles; itself for None.

        Raises:
            InvalidInputError: for a profile that it does not have; its own are listed.
        """
        chosen = DEFAULT if name is None else name
        if chosen not in self._by_profile:
            allowed = ", ".join(self._by_profile)
            raise InvalidInputError("profile: unknown for this bundle.", hint=f"Allowed: {allowed}.")
        return self._by_profile[chosen]

    @cached_property
    def _by_profile(self) -> dict[str, Bundle]:
        others = {
            name: replace(self, calibration=profile.calibration, policies=profile.policies, aggregation=Aggregation())
            for name, profile in self.profiles.items()
        }
        return {DEFAULT: self, **others}

    @cached_property
    def label_set(self) -> LabelSet:
        """The labels in the order of the model's outputs."""
        return LabelSet(self.manifest.labels)

    @cached_property
    def seal(self) -> str:
        """sha256 of `bundle.json`: names this exact bundle."""
        return sha256_file(self.path / MANIFEST)

    @property
    def onnx_dir(self) -> Path:
        """Where the exported models and their verification live."""
        return self.path / ONNX_FOLDER

    def tokenizer(self) -> TextTokenizer:
        """The tokenizer with this bundle's truncation."""
        return TextTokenizer.from_file(
            self.path / "tokenizer.json",
            max_length=self.manifest.max_length,
            head_tokens=self.manifest.head_tokens,
            normalisation=self.manifest.normalisation,
            context=self.manifest.context,
        )

    def metrics(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        return read_json(self.path / "metrics.json")

    def reference(self) -> Reference:
        """The rows kept for verification.

        Raises:
            BundleFormatError: when they are unreadable or have another number of labels.
        """
        reference = Reference.read(self.path / REFERENCE)
        if reference.logits.shape[1:] != (len(self.manifest.labels),):
            raise BundleFormatError(
                f"reference.npz has logits of shape {reference.logits.shape} for {len(self.manifest.labels)} labels."
            )
        return reference

    def verification(self) -> dict[str, Any] | None:
        """The content of `onnx/verification.json`, None where nothing was exported."""
        path = self.onnx_dir / VERIFICATION
        return read_json(path) if path.is_file() else None


def seal(
    folder: Path,
    *,
    labels: tuple[str, ...],
    task: str,
    pooling: str,
    max_length: int,
    head_tokens: int,
    provenance: Mapping[str, Any],
    normalisation: Normalisation = "emoji_names",
    context: ContextFormat | None = None,
) -> Bundle:
    """Write `bundle.json` with the sha256 of every file in `folder`, then read the bundle back, checked.

    Raises:
        BundleFormatError: when a required file is missing or the parts disagree.
    """
    files = {name: sha256_file(folder / name) for name in _sealed_names(folder)}
    manifest = Manifest(
        SCHEMA_VERSION, labels, task, pooling, max_length, head_tokens, normalisation, files, provenance, context
    )
    manifest.write(folder / MANIFEST)
    return Bundle.read(folder)


def default_bundle_path() -> Path:
    """The bundle named by the environment variable EMOTION_BUNDLE, else that of the newest run."""
    return Path(os.environ.get("EMOTION_BUNDLE") or "runs/latest/bundle")


def _sealed_names(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.as_posix() for path in paths if path.parts[0] != ONNX_FOLDER and path.as_posix() != MANIFEST]


def _check_files(folder: Path, manifest: Manifest, check_contents: bool, weights: bool) -> None:
    missing = {name for name in {*REQUIRED, *manifest.files} if not (folder / name).is_file()}
    left_out = set() if weights else {WEIGHTS} & missing
    missing -= left_out
    if missing:
        raise BundleFormatError(f"{folder} lacks {', '.join(sorted(missing))}.")
    unsealed = [name for name in REQUIRED if name not in manifest.files]
    if unsealed:
        raise BundleFormatError(f"{folder / MANIFEST} does not seal {', '.join(unsealed)}.")
    if not check_contents:
        return
    present = {name: digest for name, digest in manifest.files.items() if name not in left_out}
    changed = [name for name, digest in present.items() if sha256_file(folder / name) != digest]
    if changed:
        raise BundleTamperedError(
            f"{', '.join(changed)} in {folder} changed after the bundle was sealed.",
            hint="Restore the file, or train again with: python -m training.run",
        )


def _num_outputs(config: Path) -> int:
    content = read_json(config)
    names, number = content.get("id2label"), content.get("num_labels", 2)
    if names and not isinstance(names, dict):
        raise BundleFormatError(f"{config}: 'id2label' is {str(names)[:60]!r}, expected an object.")
    if not _is_count(number):
        raise BundleFormatError(f"{config}: 'num_labels' is {str(number)[:60]!r}, expected a number.")
    return len(names) if names else int(number)
