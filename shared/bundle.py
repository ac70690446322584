"""The bundle: one sealed folder that holds what was trained, how it decides, and what it was measured at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.aggregation import FILE as AGGREGATION
from shared.aggregation import Aggregation
from shared.calibration import Calibration
from shared.context import ContextFormat
from shared.errors import BundleFormatError, BundleNotFoundError, BundleTamperedError, InvalidInputError
from shared.files import read_json, sha256_file
from shared.intensity import FILE as INTENSITY
from shared.intensity import Readout, Scale
from shared.labels import LabelSet, label_difference
from shared.manifest import INTENSITY_VERSION, MANIFEST, SCHEMA_VERSION, Manifest, is_count
from shared.profiles import DEFAULT, Profile, read_profiles
from shared.reference import Reference
from shared.task import Task
from shared.text import Normalisation
from shared.thresholds import Policies
from shared.tokenizer import TextTokenizer
from shared.weights import INDEX, WEIGHTS, weights_files, weights_sha256

ONNX_FOLDER = "onnx"
VERIFICATION = "verification.json"
REFERENCE = "reference.npz"
REQUIRED = ("config.json", "tokenizer.json", "metrics.json", REFERENCE)
"""Files of every bundle besides its weights; `Task.files` has those of its task."""

Fingerprint = tuple[object, ...]


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
        readout: what the logits mean in the task intensity, whose calibration is the identity and whose only policy
            decides nothing; None in the others.
    """

    path: Path
    manifest: Manifest
    calibration: Calibration
    policies: Policies
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    aggregation: Aggregation = field(default_factory=Aggregation)
    readout: Readout | None = None

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
        if manifest.scale is not None:
            number = len(manifest.labels)
            bundle = cls(
                folder, manifest, Calibration.identity(number), Policies.nothing(manifest.labels),
                readout=Readout.read(folder, manifest.scale),
            )  # fmt: skip
            bundle._check_agreement()
            return bundle
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
        if self.readout is not None and self.readout.labels != labels:
            raise BundleFormatError(
                f"{INTENSITY} and {MANIFEST} disagree: "
                f"{label_difference(self.readout.labels, labels, (INTENSITY, MANIFEST))}."
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

    @property
    def task(self) -> Task:
        """What the model is for."""
        return Task(self.manifest.task)

    @cached_property
    def label_set(self) -> LabelSet:
        """The labels in the order of the model's outputs."""
        return LabelSet(self.manifest.labels)

    @cached_property
    def seal(self) -> str:
        """sha256 of `bundle.json`: names this exact bundle."""
        return sha256_file(self.path / MANIFEST)

    @property
    def weights_files(self) -> tuple[str, ...]:
        """Names of the files that hold its trained weights."""
        return weights_files(self.manifest.files)

    @property
    def weights_sha256(self) -> str:
        """Names its trained weights."""
        return weights_sha256(self.manifest.files)

    @property
    def onnx_dir(self) -> Path:
        """Where the exported models and their verification live."""
        return self.path / ONNX_FOLDER

    def tokenizer(self) -> TextTokenizer:
        """The tokenizer with this bundle's truncation."""
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        return TextTokenizer.from_file(
            self.path / "tokenizer.json",
            max_length=self.manifest.max_length,
            head_tokens=self.manifest.head_tokens,
            normalisation=self.manifest.normalisation,
            context=self.manifest.context,
            specials_as_text=self.manifest.specials_as_text,
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
    scale: Scale | None = None,
    specials_as_text: bool = True,
) -> Bundle:
    """Write `bundle.json` with the sha256 of every file in `folder`, then read the bundle back, checked.

    Raises:
        BundleFormatError: when a required file is missing or the parts disagree.
    """
    files = {name: sha256_file(folder / name) for name in _sealed_names(folder)}
    version = SCHEMA_VERSION if Task(task).decides else INTENSITY_VERSION
    manifest = Manifest(
        version, labels, task, pooling, max_length, head_tokens, normalisation, files, provenance, context, scale,
        specials_as_text,
    )  # fmt: skip
    manifest.write(folder / MANIFEST)
    return Bundle.read(folder)


def fingerprint(path: Path) -> Fingerprint | None:
    """What distinguishes bundles at `path` without reading them; None while there is none that is verified."""
    try:
        folder = path.resolve(strict=True)
        states = [(folder / name).stat() for name in (MANIFEST, f"{ONNX_FOLDER}/{VERIFICATION}")]
    except OSError:
        return None
    return (folder, *((state.st_ino, state.st_mtime_ns, state.st_size) for state in states))


def default_bundle_path() -> Path:
    """The bundle named by the environment variable EMOTION_BUNDLE, else that of the newest run."""
    return Path(os.environ.get("EMOTION_BUNDLE") or "runs/latest/bundle")


def _sealed_names(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.as_posix() for path in paths if path.parts[0] != ONNX_FOLDER and path.as_posix() != MANIFEST]


def _check_files(folder: Path, manifest: Manifest, check_contents: bool, weights: bool) -> None:
    of_weights = weights_files(manifest.files)
    required = (*REQUIRED, *of_weights, *Task(manifest.task).files)
    missing = {name for name in {*required, *manifest.files} if not (folder / name).is_file()}
    left_out = set() if weights else {*of_weights} & missing
    missing -= left_out
    if missing:
        raise BundleFormatError(f"{folder} lacks {', '.join(sorted(missing))}.")
    unsealed = [name for name in required if name not in manifest.files]
    if unsealed:
        raise BundleFormatError(f"{folder / MANIFEST} does not seal {', '.join(unsealed)}.")
    if INDEX in manifest.files and (folder / WEIGHTS).is_file():
        raise BundleFormatError(
            f"{folder} has the {WEIGHTS} of another bundle, which would be loaded in place of its own weights.",
            hint="Remove that file.",
        )
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
    if not is_count(number):
        raise BundleFormatError(f"{config}: 'num_labels' is {str(number)[:60]!r}, expected a number.")
    return len(names) if names else int(number)
