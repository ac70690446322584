"""Whether the rows to evaluate are those a bundle was trained on: what is sealed about its data, computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from shared.bundle import Bundle
from shared.context import ContextFormat
from shared.errors import EmotionError
from shared.files import file_digests
from shared.labels import LabelSet
from shared.languages import language_code
from shared.task import Task
from training.config.data import DataConfig, SourceConfig
from training.config.evaluate import EvaluationData
from training.config.parser import load as load_config
from training.data.column import Column
from training.data.corpus import Splits
from training.data.keys import rows_inside
from training.data.load import EvaluationRows, load_data, load_eval_split
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE
from training.data.sources.kept import sources_kept


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
            splits = load_data(reading, single_label=trained.loss.single_label)
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


def rows_to_score(
    bundles: Sequence[Bundle],
    config: EvaluationData,
    split: str | None,
    labels: LabelSet,
    *,
    context: ContextFormat | None = None,
) -> EvaluationRows:
    """One split of the data for each of the bundles, as `load_eval_split` reads it.

    Where they are certainly the rows that bundles were trained on, and no official split says what was held out, a
    split is that of the training, whatever its seed, fractions and labels were; and test is taken where none is asked
    for. A note says so, or that it cannot be said.

    Args:
        bundles: with their provenance.
        config: where the rows come from.
        split: train, dev, test or all; None for the default one.
        labels: the label set to evaluate.
        context: how previous turns are read.

    Raises:
        ConfigError: see `load_eval_split`.
        DataError: when the data cannot be used, or the training had no row in that split.
    """
    alone = len(bundles) == 1
    trainings = [_Training(bundle, config, "the bundle" if alone else str(bundle.path)) for bundle in bundles]
    with sources_kept():
        data = load_eval_split(
            config, split, labels, ids_are_positions=config.ids_of_bundle, context=context,
            single_label=all(bundle.task is Task.SINGLE_LABEL for bundle in bundles),
            cut_before=lambda name: _keys(trainings, name),
        )  # fmt: skip
        if data.split == WHOLE and split is None:
            data = _test_alone(data, trainings)
        official = not data.cut and data.split != WHOLE
        notes = (
            training.official_note(data.split) if official else training.note(data.split) for training in trainings
        )  # fmt: skip
        return replace(data, notes=(*data.notes, *dict.fromkeys(filter(None, notes))))


@dataclass(frozen=True)
class _Training:
    """What is sealed about the data of a bundle, beside the data given."""

    bundle: Bundle
    config: DataConfig
    who: str

    @cached_property
    def names(self) -> list[str]:
        return resembling(self.bundle, self.config) if self._shares_languages else []

    @property
    def _shares_languages(self) -> bool:
        """Whether rows in the wanted languages can be those of the training; they can where either takes all."""
        trained = self.bundle.manifest.provenance.get("data", {}).get("languages", {}).get(TRAIN)
        wanted = self.config.languages
        return not trained or wanted is None or not set(trained).isdisjoint(map(language_code, wanted))

    @cached_property
    def splits(self) -> Splits | None:
        return training_splits(self.bundle, self.config) if self.names else None

    def official_note(self, split: str) -> str | None:
        """That an official dev split is no longer held out where the training pooled it into folds."""
        if split != DEV or self.config.folds is not None or not _has_folds(self.bundle) or not self.names:
            return None
        return (
            f"{self.who} was trained on a source of this name ({', '.join(self.names)}) in folds (data.folds), which "
            "take rows of train and dev alike: where it was on these rows, most of them are training rows"
        )

    def note(self, split: str) -> str | None:
        """What is known of the rows of a split that no official one is; None where nothing speaks for a training."""
        if not self.names:
            return None
        if self.splits is not None:
            scored = {
                WHOLE: "so that most of these rows are training rows",
                TRAIN: "and these are its training rows",
            }.get(split)
            trained = f"{self.who} was trained on this source"
            return f"{trained}, {scored}" if scored else f"{trained}: scored is the part that was held out as {split}"
        return (
            f"{self.who} was trained on a source of this name ({', '.join(self.names)}); whether on these rows cannot "
            f"be said, so that {'all are scored' if split == WHOLE else f'{split} is cut here'}: where it was, most of "
            "them are training rows"
        )


def _has_folds(bundle: Bundle) -> bool:
    """Whether the training was one of a cross-validation."""
    file = bundle.path / "training.yaml"
    try:
        return file.is_file() and load_config(file).data.folds is not None
    except EmotionError:  # of another version
        return False


def _keys(trainings: Sequence[_Training], split: str) -> Column[str] | None:
    """The keys that are in a split of every training on these rows; None where there was none."""
    found = [training.splits.named().get(split) for training in trainings if training.splits is not None]
    if not found:
        return None
    keys = [Column.of(()) if rows is None else rows.keys for rows in found]
    return reduce(lambda common, others: common.take(rows_inside(common, others)), keys)


def _test_alone(data: EvaluationRows, trainings: Sequence[_Training]) -> EvaluationRows:
    """The rows that every training on them held out as test; all where there was none, or none is left."""
    chosen = rows_inside(data.rows.keys, _keys(trainings, TEST) or ())
    return replace(data, rows=data.rows.take(chosen), split=TEST, cut=True) if len(chosen) else data
