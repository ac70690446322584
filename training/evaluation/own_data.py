"""Whether the rows to evaluate are those a bundle was trained on: what is sealed about its data, computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from shared.bundle import Bundle
from shared.errors import EmotionError
from training.config.data import DataConfig, SourceConfig
from training.config.parser import load as load_config
from training.data.corpus import Corpus, Splits
from training.data.load import load_data


def training_splits(bundle: Bundle, config: DataConfig) -> Splits | None:
    """The splits of the training, when they come out of these files; None when they do not, or that cannot be said.

    The files are read with the keys of the bundle's own `training.yaml`, and the splits have the fingerprint that is
    sealed in its provenance. Row names count in it, so that a renamed file is another one.

    Args:
        bundle: with its provenance.
        config: the files.
    """
    sealed = bundle.manifest.provenance.get("data", {}).get("fingerprint")
    file = bundle.path / "training.yaml"
    if sealed is None or not file.is_file():
        return None
    here = config.resolved_sources()
    try:
        trained = load_config(file)
        if len(trained.data.resolved_sources()) != len(here):
            return None
        splits = load_data(_reading(trained.data, here, bundle), single_label=trained.loss.task == "single_label")
    except EmotionError:  # other files, which the keys of the training do not fit
        return None
    return splits if splits.fingerprint == sealed else None


def _reading(trained: DataConfig, here: Sequence[SourceConfig], bundle: Bundle) -> DataConfig:
    """The keys of the training with the paths of here; the bundle's labels in place of their file."""
    if trained.labels_file is not None:
        trained = replace(trained, labels=list(bundle.label_set.names), labels_file=None)
    if not trained.sources:
        return replace(trained, path=here[0].path)
    return replace(
        trained, sources=[replace(source, path=its.path) for source, its in zip(trained.sources, here, strict=True)]
    )


def same_names(bundle: Bundle, config: DataConfig) -> list[str]:
    """Names that files here share with sources of the training; a bundle holds no absolute path to compare."""
    sources = bundle.manifest.provenance.get("data", {}).get("sources", [])
    trained_on = {PurePath(source["origin"]).name for source in sources}
    here = {Path(source.path).absolute().name for source in config.resolved_sources() if source.path}
    return sorted(trained_on & here)


def held_out(rows: Corpus, splits: Splits) -> Corpus | None:
    """Those of the rows whose texts are in the test split; None where there is no such row."""
    keys = set(splits.test.keys) if splits.test else set()
    chosen = [row for row, key in enumerate(rows.keys) if key in keys]
    return rows.take(chosen) if chosen else None
