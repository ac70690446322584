"""What a user knows of the texts to adapt to, read from files and by the model that is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigError, DataFormatError, DataNotFoundError, EmptyDataError
from shared.profiles import MAX_DRIFT_TEXTS, DriftReference
from training.adapting.adapt import Evidence

if TYPE_CHECKING:
    from emotion_classifiers.adapt import AdaptOptions
    from serving.predictor import Predictor
    from training.data.corpus import Corpus


@dataclass(frozen=True)
class Given:
    """What a user gave.

    Attributes:
        corpus: the labelled rows; None where there are none.
        texts: those without labels.
        evidence: what the model says of both.
        notes: what was decided while reading.
    """

    corpus: Corpus | None
    texts: list[str]
    evidence: Evidence
    notes: tuple[str, ...]


def read_given(predictor: Predictor, options: AdaptOptions, *, pooled: bool = False) -> Given:
    """Read what the options name.

    Args:
        predictor: the parent's model.
        options: of the command.
        pooled: whether the vectors before the last layer are needed, of the labelled rows.

    Raises:
        DataError: when a file cannot be used, or shares no label with the bundle.
        ConfigError: for frequencies that are none.
    """
    corpus, notes = _labelled(predictor, options)
    texts = [] if options.unlabelled is None else read_unlabelled(Path(options.unlabelled), options.text_column)
    if texts and predictor.bundle.manifest.context is not None:
        notes = (*notes, "texts without labels are read alone, without the turns before them, which this bundle reads.")
    labelled = [] if corpus is None else corpus.texts
    nothing = np.zeros((0, len(predictor.labels)), dtype=bool)
    evidence = Evidence(
        predictor.logits(labelled).astype(np.float64),
        nothing if corpus is None else corpus.hard_targets,
        nothing if corpus is None else corpus.known,
        unlabelled=predictor.logits(texts).astype(np.float64),
        frequencies=read_frequencies(options.frequencies, predictor.labels),
    )
    if pooled and labelled:
        from serving.exporting.last_layer import pooled_vectors  # noqa: PLC0415  (onnx)

        evidence = replace(evidence, pooled=pooled_vectors(predictor, labelled, options.threads)[0])
    return Given(corpus, texts, evidence, notes)


def drift_reference(predictor: Predictor, given: Given) -> DriftReference | None:
    """What a window of traffic is compared with: the texts that were given, evenly spaced where there are many."""
    texts = [*([] if given.corpus is None else given.corpus.texts), *given.texts]
    if not texts:
        return None
    logits = np.concatenate([given.evidence.logits, given.evidence.unlabelled])
    rows = np.unique(np.linspace(0, len(texts) - 1, MAX_DRIFT_TEXTS).astype(np.int64))
    encoded = predictor.tokenizer.encode([texts[row] for row in rows])
    lengths = np.array([row.num_tokens for row in encoded], np.int32)
    return DriftReference(logits[rows].astype(np.float32), lengths)


def _labelled(predictor: Predictor, options: AdaptOptions) -> tuple[Corpus | None, tuple[str, ...]]:
    if options.data.path is None and not options.data.sources:
        return None, ()
    from training.evaluation.own_data import rows_to_score  # noqa: PLC0415  (pandas)

    bundle = predictor.bundle
    read = rows_to_score(
        [bundle], options.data, options.data.split, bundle.label_set, context=bundle.manifest.context
    )  # fmt: skip
    return _with_a_no(read.rows, predictor.labels, read.notes)


def _with_a_no(
    rows: Corpus, labels: Sequence[str], notes: tuple[str, ...]
) -> tuple[Corpus, tuple[str, ...]]:  # fmt: skip
    """The rows without the cells of labels that only ever have a yes: fitted to them, a bundle would always say yes."""
    cells = rows.known.sum(axis=0)
    always = (cells > 0) & ((rows.hard_targets & rows.known).sum(axis=0) == cells)
    if not always.any():
        return rows, notes
    names = ", ".join(name for name, yes in zip(labels, always, strict=True) if yes)
    hint = "Say no (0) where a label does not fit, or --data.annotated all where a label that is not written is a no."
    left = rows.known & ~always
    if not left.any():
        raise DataFormatError(f"every row that is labelled has a yes, for: {names}.", hint=hint)
    note = f"labels that have a yes in every row where they are known are not adapted: {names}. {hint}"
    kept = np.flatnonzero(left.any(axis=1))
    masked = replace(rows, known=left, targets=np.where(left, rows.targets, 0).astype(rows.targets.dtype))
    return masked.take(kept), (*notes, note)


def read_unlabelled(path: Path, column: str | None) -> list[str]:
    """Texts of a table.

    Raises:
        DataError: when the file cannot be read.
        DataFormatError: when the column is not there, or holds a list, an object or bytes in place of a text.
        EmptyDataError: when it holds no text.
    """
    from shared.tables import open_table  # noqa: PLC0415
    from shared.tables.values import text_of, why_no_text  # noqa: PLC0415

    table = open_table(path).read_all()
    rows = table.columns
    name = column or ("text" if "text" in rows or len(rows) != 1 else next(iter(rows)))
    if name not in rows:
        raise DataFormatError(
            f"{path} has no column '{name}' (columns: {', '.join(rows)}).", hint="Name the column with --text_column."
        )
    for row, value in enumerate(rows[name]):
        if reason := why_no_text(value):
            raise DataFormatError(f"{table.where(row)}: {reason}.")
    texts = [text for value in rows[name] if (text := text_of(value) or "").strip()]
    if not texts:
        raise EmptyDataError(f"the column '{name}' of {path} holds no text.")
    return texts


def read_frequencies(path: str | None, labels: Sequence[str]) -> NDArray[np.float64]:
    """Share of the texts that carry each label, shape (L,), NaN where the file says nothing.

    Raises:
        DataNotFoundError: when there is no such file.
        ConfigError: for an unknown label or a share that is none; says which.
    """
    import yaml  # noqa: PLC0415

    from training.config.yaml_file import load_yaml  # noqa: PLC0415

    found = np.full(len(labels), np.nan)
    if path is None:
        return found
    if not Path(path).is_file():
        raise DataNotFoundError(f"there is no file of frequencies at {path}.")
    try:
        content = load_yaml(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path} holds no frequencies.", hint="Write one line a label, like joy: 0.3")
    for label, share in content.items():
        if label not in labels:
            near = get_close_matches(str(label), labels, n=1)
            raise ConfigError(f"{path}: unknown label '{label}'.", hint=f"Did you mean '{near[0]}'?" if near else None)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ConfigError(f"{path}: the share of '{label}' is {share!r}; allowed: a number between 0 and 1.")
        found[labels.index(label)] = share
    return found
