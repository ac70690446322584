"""The manifest of a bundle, `bundle.json`: what it is for, how it reads texts, and the sha256 of its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from shared.context import ContextFormat
from shared.errors import BundleFormatError
from shared.files import read_json, write_json
from shared.intensity import Scale
from shared.task import Task
from shared.text import NORMALISATIONS, Normalisation

SCHEMA_VERSION = 3
"""Of `bundle.json`. Older ones are read too: version 2 has no `normalisation`, which is plain there, and version 1 has
the texts of `reference.npz` as an array of strings besides."""

INTENSITY_VERSION = 4
"""Of bundles of the task intensity, which have `scale`, and `intensity.json` in place of calibration and thresholds:
a reader of version 3 would take their logits for those of labels."""

READABLE_VERSIONS = (1, 2, 3, 4)
MANIFEST = "bundle.json"
SPECIALS, AS_TEXT = "special_tokens", "text"
"""Field of `bundle.json`, and its value where texts never become special tokens."""


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
    scale: Scale | None = None
    """Of the task intensity; None in the others."""
    specials_as_text: bool = False
    """Whether the names of special tokens in a text, such as "[SEP]", are words; in older bundles they are tokens."""

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
            fields = {name: content[name] for name in ("schema_version", *_FIELDS)}
        except KeyError as error:
            raise BundleFormatError(f"{path} lacks the field {error}.") from None
        for name, (is_right, expected) in _FIELDS.items():
            if not is_right(fields[name]):
                raise BundleFormatError(f"{path}: '{name}' is {str(fields[name])[:60]!r}, expected {expected}.")
        try:
            context = None if content.get("context") is None else ContextFormat.from_json(content["context"])
        except ValueError:
            raise BundleFormatError(f"{path}: 'context' does not say how previous turns are read.") from None
        scale = Scale.of(content.get("scale")) if fields["task"] == Task.INTENSITY else None
        specials = content.get(SPECIALS)
        if specials not in (None, AS_TEXT):
            raise BundleFormatError(f"{path}: '{SPECIALS}' is {str(specials)[:60]!r}, expected {AS_TEXT} or nothing.")
        optional = {"context": context, "scale": scale, "specials_as_text": specials == AS_TEXT}
        return cls(**{**fields, "labels": tuple(fields["labels"]), **optional})

    def write(self, path: Path) -> None:
        """Write `bundle.json`."""
        context = {} if self.context is None else {"context": self.context.to_json()}
        scale = {} if self.scale is None else {"scale": self.scale.to_json()}
        specials = {SPECIALS: AS_TEXT} if self.specials_as_text else {}
        always = {name: getattr(self, name) for name in ("schema_version", *_FIELDS)}
        write_json(path, always | context | scale | specials)


def is_count(value: Any) -> bool:
    """Whether a value of JSON is a whole number of 0 or more."""
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
    "task": (lambda value: value in list(Task), " or ".join(Task)),
    "pooling": (lambda value: isinstance(value, str), "a name"),
    "max_length": (is_count, "a number of tokens"),
    "head_tokens": (is_count, "a number of tokens"),
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
