"""Whether the rows to evaluate are those a bundle was trained on: what is sealed about its data, computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from shared.bundle import Bundle
from shared.errors import EmotionError
from shared.files import file_digests
from training.config.data import DataConfig, SourceConfig
from training.config.parser import load as load_config
from training.data.corpus import Corpus, Splits
from training.data.keys import rows_inside
from training.data.load import EvaluationRows, load_data
from training.data.sources.base import TEST, WHOLE


def training_splits(bundle: Bundle, config: DataConfig) -> Splits | None:
    """The splits of the training, when they come out of these files; None when they do not, or that cannot be said.

    The files are read with the keys of the bundle's own `training.yaml`, and the splits have the fingerprint that is
    sealed in its provenance. Row names count in it, so that a renamed file is read under its former name.

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
        if not len(trained.data.resolved_sources()) == len(here) == len(_sealed_sources(bundle)):
            return None
        with _former_names(bundle, here) as paths:
            reading = _reading(trained.data, paths, bundle)
            splits = load_data(reading, single_label=trained.loss.task == "single_label")
    except EmotionError:  # other files, which the keys of the training do not fit
        return None
    return splits if splits.fingerprint == sealed else None


@contextmanager
def _former_names(bundle: Bundle, here: Sequence[SourceConfig]) -> Iterator[list[str | None]]:
    """The paths of here; a link under its name in the training for one with the same content and another name."""
    with TemporaryDirectory() as folder:
        paths = []
        for number, (source, sealed) in enumerate(zip(here, _sealed_sources(bundle), strict=True)):
            path, name = source.path, PurePath(sealed["origin"]).name
            if path and Path(path).absolute().name != name and _same_content(path, sealed):
                link = Path(folder) / str(number) / name
                link.parent.mkdir()
                link.symlink_to(Path(path).absolute())
                path = str(link)
            paths.append(path)
        yield paths


def _sealed_sources(bundle: Bundle) -> list[dict[str, Any]]:
    return list(bundle.manifest.provenance.get("data", {}).get("sources", []))


def _same_content(path: str, sealed: Mapping[str, Any]) -> bool:
    """Whether the files at a path are those of a source of the training, whatever they are called."""
    return bool(sealed.get("files")) and sorted(file_digests(Path(path)).values()) == sorted(sealed["files"])


def _reading(trained: DataConfig, paths: Sequence[str | None], bundle: Bundle) -> DataConfig:
    """The keys of the training with the paths of here; the bundle's labels in place of their file."""
    if trained.labels_file is not None:
        trained = replace(trained, labels=list(bundle.label_set.names), labels_file=None)
    if not trained.sources:
        return replace(trained, path=paths[0])
    return replace(
        trained, sources=[replace(source, path=path) for source, path in zip(trained.sources, paths, strict=True)]
    )


def resembling(bundle: Bundle, config: DataConfig) -> list[str]:
    """Names of files here that have the name or the content of a source of the training.

    A bundle holds no absolute path to compare, and an older one no digests.
    """
    sealed = _sealed_sources(bundle)
    names = {PurePath(source["origin"]).name for source in sealed}
    paths = [source.path for source in config.resolved_sources() if source.path]
    return sorted(
        Path(path).absolute().name for path in paths
        if Path(path).absolute().name in names or any(_same_content(path, source) for source in sealed)
    )  # fmt: skip


def without_training_rows(
    bundle: Bundle, config: DataConfig, asked: str | None, data: EvaluationRows
) -> EvaluationRows:
    """The rows to score: where they are certainly those the bundle was trained on, the part held out as test alone.

    Args:
        bundle: with its provenance.
        config: where the rows come from.
        asked: the split that was asked for; None for the default one.
        data: the rows.
    """
    if data.split != WHOLE:
        return data
    names = resembling(bundle, config)
    splits = training_splits(bundle, config) if names else None
    if splits is not None:
        test = held_out(data.rows, splits) if asked is None else None
        if test is not None:
            note = "the bundle was trained on this source: scored is the part that was held out as test"
            return replace(data, rows=test, split=TEST, notes=(*data.notes, note))
        note = "the bundle was trained on this source, so that most of these rows are training rows"
        return replace(data, notes=(*data.notes, note))
    if names:
        note = (
            f"the bundle was trained on a source of this name ({', '.join(names)}); whether on these rows cannot be "
            "said, so that all are scored: where it was, most of them are training rows"
        )
        return replace(data, notes=(*data.notes, note))
    return data


def held_out(rows: Corpus, splits: Splits) -> Corpus | None:
    """Those of the rows whose texts are in the test split; None where there is no such row."""
    chosen = rows_inside(rows.keys, splits.test.keys if splits.test else ())
    return rows.take(chosen) if len(chosen) else None
