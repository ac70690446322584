"""Profiles: further decisions of one bundle, each for one kind of texts (tweets, journals) and read by one network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.calibration import Calibration
from shared.errors import BundleFormatError, ConfigError
from shared.files import read_json, write_json
from shared.reference import check_unpacked_size
from shared.thresholds import Policies

FOLDER = "profiles"
DEFAULT = "default"
"""What the bundle's own calibration and policies are called."""
LANGUAGE = "language"
"""In what is said about a profile: the code of the language whose texts it decides, where it is of one."""

MAX_DRIFT_TEXTS = 2000
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class DriftReference:
    """Texts of a profile, as far as drift is measured on them: no words, so that none leaves the hands of who adapts.

    Attributes:
        logits: of N texts, shape (N, L).
        num_tokens: of each, special tokens included, shape (N,).
    """

    logits: NDArray[np.float32]
    num_tokens: NDArray[np.int32]


@dataclass(frozen=True)
class Profile:
    """How a bundle decides on one kind of texts.

    Attributes:
        calibration: of the profile.
        policies: of the profile.
        about: what it was adapted to, and what was estimated of it.
        drift: texts it was adapted to; None where there were none.
    """

    calibration: Calibration
    policies: Policies
    about: Mapping[str, Any]
    drift: DriftReference | None = None

    def write(self, folder: Path) -> None:
        """Write the profile's files into `folder`."""
        folder.mkdir(parents=True)
        self.calibration.write(folder / "calibration.json")
        self.policies.write(folder / "thresholds.json")
        write_json(folder / "about.json", self.about)
        if self.drift is not None:
            np.savez_compressed(folder / "drift.npz", logits=self.drift.logits, num_tokens=self.drift.num_tokens)

    @classmethod
    def read(cls, folder: Path) -> Profile:
        """Read a profile.

        Raises:
            BundleFormatError: when a file is missing or garbled.
        """
        drift = _read_drift(folder / "drift.npz") if (folder / "drift.npz").is_file() else None
        return cls(
            Calibration.read(folder / "calibration.json"), Policies.read(folder / "thresholds.json"),
            read_json(folder / "about.json"), drift,
        )  # fmt: skip


def read_profiles(folder: Path, files: Mapping[str, str], labels: tuple[str, ...]) -> dict[str, Profile]:
    """Name -> profile, of a bundle's folder.

    Args:
        folder: the bundle's.
        files: the sealed files; a folder that is not among them is none of the bundle's.
        labels: the bundle's.

    Raises:
        BundleFormatError: when a profile is garbled or is of other labels.
    """
    parts = [name.split("/") for name in files]
    names = sorted({part[1] for part in parts if part[0] == FOLDER and len(part) == 3})
    found = {name: Profile.read(folder / FOLDER / name) for name in names}
    for name, profile in found.items():
        agree = profile.policies.labels == labels and len(profile.calibration.temperatures) == len(labels)
        if not agree or (profile.drift is not None and profile.drift.logits.shape[1:] != (len(labels),)):
            raise BundleFormatError(f"the profile '{name}' of {folder} is of other labels than the bundle.")
    return found


def for_language(profiles: Mapping[str, Profile], code: str | None) -> str:
    """Name of the profile that decides texts in a language: its own, that of the language without region, or default.

    Args:
        profiles: of a bundle, by name.
        code: as `shared.languages.language_code` writes it; None where no language is named.
    """
    if code is None:
        return DEFAULT
    named = {str(profile.about[LANGUAGE]): name for name, profile in profiles.items() if LANGUAGE in profile.about}
    return named.get(code) or named.get(code.split("-", maxsplit=1)[0]) or DEFAULT


def check_name(name: str) -> str:
    """`name` itself.

    Raises:
        ConfigError: when no profile may have this name.
    """
    if name == DEFAULT or not NAME.fullmatch(name):
        raise ConfigError(
            f"a profile cannot be called '{name[:60]}'.",
            hint=f"Allowed: up to 40 of a-z, 0-9, dot, hyphen and underscore; not '{DEFAULT}'.",
        )
    return name


def _read_drift(path: Path) -> DriftReference:
    try:
        check_unpacked_size(path)
        with np.load(path, allow_pickle=False) as data:
            found = DriftReference(data["logits"], data["num_tokens"])
    except BundleFormatError:
        raise
    except Exception as error:  # numpy and zipfile raise several kinds for a broken file
        raise BundleFormatError(f"{path} is not readable: {error}.") from error
    if len(found.logits) != len(found.num_tokens) or not 0 < len(found.logits) <= MAX_DRIFT_TEXTS:
        raise BundleFormatError(f"{path} has {len(found.logits)} logits and {len(found.num_tokens)} lengths.")
    return found
