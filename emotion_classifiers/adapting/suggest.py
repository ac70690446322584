"""`emotion adapt BUNDLE --suggest N texts.csv`: a table of texts to label, to be filled in."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emotion_classifiers.adapting.inputs import read_given
from serving.exporting.last_layer import pooled_vectors
from shared.errors import ConfigError, ExportError
from shared.files import replacing_file
from shared.tables import Chunk
from shared.tables.writing import DelimitedWriter
from training.adapting.adapt import FEWEST_ROWS, adapt
from training.adapting.child import parent_of
from training.adapting.suggestion import NEAR_DUPLICATE, learning_curve, suggest

if TYPE_CHECKING:
    from emotion_classifiers.adapt import AdaptOptions
    from emotion_classifiers.adapting.inputs import Given
    from serving.predictor import Predictor

FEWEST_FOR_CURVE = 4 * FEWEST_ROWS
NEAR_DUPLICATE_LOGITS = 0.9999
"""The same for logits, of which many texts share the direction."""


def suggest_rows(predictor: Predictor, options: AdaptOptions, count: int) -> tuple[dict[str, Any], str]:
    """Write the table; what it is as one JSON object, and in words.

    Raises:
        ConfigError: when the table is there already, or no text is left.
        DataError: when the texts cannot be read.
    """
    source = Path(str(options.unlabelled))
    target = Path(options.output or source.with_name(f"{source.stem}-suggested.csv"))
    if target.exists():
        raise ConfigError(f"{target} is there already.", hint="Fill it in, or give another --output.")
    given, chosen = choose_texts(predictor, options, count)
    with replacing_file(target) as temporary, temporary.open("wb") as stream:
        writer = DelimitedWriter(stream, ",", ["text"], ["labels"])
        writer.write(Chunk({"text": chosen}, str(target), range(len(chosen))), {"labels": [None] * len(chosen)})
    notes, labelled = [*given.notes, *writer.notes], 0 if given.corpus is None else len(given.corpus)
    content = {
        "suggested": str(target), "texts": len(chosen), "of": len(given.texts), "labelled_before": labelled,
        "learning_curve": None, "notes": notes,
    }  # fmt: skip
    parts = list(notes)
    curve = _curve(predictor, options, given, count)
    if curve is not None:
        content["learning_curve"], words = curve
        parts.append(words)
    if len(chosen) < count:
        parts.append(f"Only {len(chosen)} of the texts are not near duplicates of others.")
    return content, "\n\n".join([*parts, _next_step(predictor, target, options, len(chosen))])


def choose_texts(predictor: Predictor, options: AdaptOptions, count: int) -> tuple[Given, list[str]]:
    """What was given, and up to `count` of its texts to label.

    Raises:
        ConfigError: when no text is left.
        DataError: when the texts cannot be read.
    """
    given = read_given(predictor, options)
    labelled = [] if given.corpus is None else given.corpus.texts
    texts, parent = [*labelled, *given.texts], parent_of(predictor.bundle)
    fitted = adapt(parent, given.evidence, options.seed)  # their own frequencies, as far as they are known
    scores = fitted.calibration.scores(np.concatenate([given.evidence.logits, given.evidence.unlabelled]))
    vectors: NDArray[np.floating]
    try:
        vectors, alike = pooled_vectors(predictor, texts, options.threads)[0], NEAR_DUPLICATE
    except ExportError as error:
        sys.stderr.write(f"note: texts are compared by their logits: {error.message}.\n")
        vectors, alike = scores, NEAR_DUPLICATE_LOGITS
    chosen = suggest(scores, vectors, texts, count, labelled=len(labelled), near_duplicate=alike, seed=options.seed)
    if not len(chosen):
        raise ConfigError(
            f"no text of {options.unlabelled} is left to suggest: each is labelled already or a near duplicate."
        )
    return given, [texts[row] for row in chosen]


def _curve(
    predictor: Predictor, options: AdaptOptions, given: Given, count: int
) -> tuple[dict[str, Any], str] | None:  # fmt: skip
    """What so many rows more would bring, where enough are labelled to tell."""
    if len(given.evidence.logits) < FEWEST_FOR_CURVE:
        return None
    rows = replace(given.evidence, unlabelled=np.zeros((0, len(predictor.labels))))
    curve = learning_curve(parent_of(predictor.bundle), rows, count, options.seed)
    value, low, high = curve.gain
    points = ", ".join(f"{score:.3f} with {size}" for size, score in curve.points.items())
    words = (
        f"Macro F1 on labelled rows left out: {points} rows. {count} more would bring about {value:+.3f} "
        f"(95 % interval {low:+.3f} to {high:+.3f})."
    )
    return {"points": {str(size): score for size, score in curve.points.items()}, "gain": list(curve.gain)}, words


def _next_step(predictor: Predictor, target: Path, options: AdaptOptions, count: int) -> str:
    labels = ", ".join(predictor.labels)
    words = [str(predictor.bundle.path), "--data", str(target), "--data.annotated", "all"]
    for name in ("unlabelled", "text_column", "frequencies", "profile"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", value]
    return (
        f"{count} texts written to {target}. Fill in every label that fits a text, separated by commas; a row left "
        f"blank is left out. Labels: {labels}.\n"
        f"Then: emotion adapt {shlex.join(words)}"
    )
