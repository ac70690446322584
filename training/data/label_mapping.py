"""Labels of a source under other names: renamed, dropped, or brought together in coarser groups."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from shared.errors import ConfigError, DataFormatError
from shared.labels import TAXONOMIES
from training.config.data import LabelKeys
from training.config.yaml_file import load_yaml
from training.data import arrays
from training.data.files import existing
from training.data.sources.base import RawCorpus, RawSplit


def map_labels(raw: RawCorpus, keys: LabelKeys) -> RawCorpus:
    """A source with the names that `rename`, `drop` and `taxonomy` give its labels, in that order.

    Labels that get one name are one label: a row has it when it has any of them.

    Raises:
        ConfigError: when a key names a label that the source has not, or nothing is left.
        DataFormatError: when a file of groups is not in its format.
    """
    if not (keys.rename or keys.drop or keys.taxonomy):
        return raw
    here = {name.casefold(): name for name in raw.labels}
    pairs, left_out = _pairs(keys.rename), [name.strip() for name in (keys.drop or "").split(",") if name.strip()]
    _check_names("rename", list(pairs), here, raw)
    _check_names("drop", left_out, here, raw)
    renamed = {here[old.casefold()]: new for old, new in pairs.items()}
    dropped = {here[name.casefold()] for name in left_out}
    groups = {name: renamed.get(name, name) for name in raw.labels if name not in dropped}
    notes = []
    if keys.taxonomy:
        groups, outside = _grouped(groups, read_groups(keys.taxonomy))
        if outside:
            notes.append(f"dropped, as '{keys.taxonomy}' has no group for them: {', '.join(outside)}")
    labels = tuple(dict.fromkeys(name for name in groups.values()))
    if not labels:
        raise ConfigError(f"no label of {raw.kind} {raw.origin} is left; it has {', '.join(raw.labels)}.")
    if raw.scale is not None and len(labels) < len(groups):
        raise ConfigError("data.rename and data.taxonomy cannot bring intensities together: those are one a label.")
    changed = [f"{old} -> {new}" for old, new in groups.items() if new != old]
    notes += [f"labels are mapped: {'; '.join(changed)}"] if changed else []
    notes += [f"labels left out by data.drop: {', '.join(sorted(dropped))}"] if dropped else []
    sources = [[place for place, old in enumerate(raw.labels) if groups.get(old) == name] for name in labels]
    splits = {name: _merged(split, sources) for name, split in raw.splits.items()}
    return replace(raw, labels=labels, splits=splits, numbered=False, notes=(*raw.notes, *notes))


def _pairs(said: str | None) -> dict[str, str]:
    """Old and new name of every label in "happiness=joy, fury=anger".

    Raises:
        ConfigError: for a part without "=", or a name given twice.
    """
    pairs: dict[str, str] = {}
    for part in (said or "").strip("{} ").split(","):
        old, equals, new = (piece.strip() for piece in part.replace(":", "=").partition("="))
        if not part.strip():
            continue
        if not (old and equals and new):
            raise ConfigError(
                f"data.rename holds '{part.strip()}'; expected pairs such as 'happiness=joy, fury=anger'."
            )
        if (before := next((name for name in pairs if name.casefold() == old.casefold()), None)) is not None:
            raise ConfigError(f"data.rename names a label twice: {before}={pairs[before]}, then {old}={new}.")
        pairs[old] = new
    return pairs


def _check_names(key: str, given: Sequence[str], here: Mapping[str, str], raw: RawCorpus) -> None:
    for name in given:
        if name.casefold() not in here:
            near = difflib.get_close_matches(name, raw.labels, n=1)
            raise ConfigError(
                f"data.{key} names '{name}', and {raw.kind} {raw.origin} has no such label.",
                hint=f"Did you mean '{near[0]}'?" if near else f"Its labels are: {', '.join(raw.labels)}.",
            )


def read_groups(taxonomy: str) -> dict[str, tuple[str, ...]]:
    """Groups and their labels: a published taxonomy of GoEmotions, or a YAML file.

    Raises:
        DataNotFoundError: when it is neither.
        DataFormatError: when the file does not map names to lists of names, or puts a label in two groups.
    """
    if taxonomy in TAXONOMIES:
        return dict(TAXONOMIES[taxonomy].groups)
    path = existing(
        Path(taxonomy), "the taxonomy", f"Give one of {', '.join(TAXONOMIES)}, or a YAML file of groups and labels."
    )
    try:
        found = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataFormatError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(found, dict) or not all(isinstance(members, list) and members for members in found.values()):
        raise DataFormatError(f"{path} must map each group to a list of labels, such as 'joy: [love, pride]'.")
    groups = {str(name): tuple(map(str, members)) for name, members in found.items()}
    members = [member for group in groups.values() for member in group]
    twice = sorted({member for member in members if members.count(member) > 1})
    if twice:
        raise DataFormatError(f"{path} puts these labels in several groups: {', '.join(twice)}.")
    return groups


def _grouped(named: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], list[str]]:
    """The group of every label, and the labels that no group has; a label called as a group is that group's."""
    group_of = {group.casefold(): group for group in groups}
    group_of |= {member.casefold(): group for group, members in groups.items() for member in members}
    found = {old: group_of[new.casefold()] for old, new in named.items() if new.casefold() in group_of}
    return found, [old for old in named if old not in found]


def _merged(split: RawSplit, sources: Sequence[Sequence[int]]) -> RawSplit:
    """Columns brought together: yes where any says yes, unknown where none does and one of them is unknown."""
    known = np.broadcast_to(np.True_, split.targets.shape) if split.known is None else split.known
    targets = arrays.zeros((len(split), len(sources)), split.targets.dtype)
    merged = arrays.zeros((len(split), len(sources)), np.bool_)
    for piece in arrays.pieces(len(split)):
        seen = split.targets[piece] * known[piece]
        for column, places in enumerate(sources):
            targets[piece, column] = seen[:, places].max(axis=1)
            merged[piece, column] = known[piece, places].all(axis=1)
        merged[piece] |= targets[piece] >= 0.5
    return replace(split, targets=targets, known=merged)
