"""What a bundle of intensities answers: a number on its scale for each label, with an interval; nothing is decided."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.batching.jobs import Row
from serving.http.response_schemas import DIGITS
from serving.http.responses import NO_CONTEXT, error_body, facts_of
from serving.http.schemas import PredictRequest
from shared.bundle import Bundle
from shared.errors import InvalidInputError, RequestError
from shared.intensity import Readout

MADE_FOR_LABELS = ("policy", "thresholds", "top_k", "taxonomy", "probabilities", "segments", "explain")
"""Fields of a request that say nothing about intensities."""


def check_intensity_request(request: PredictRequest) -> None:
    """Refuse what is made for decided labels, or is not defined for intensities.

    Raises:
        InvalidInputError: naming the field.
    """
    for name in MADE_FOR_LABELS:
        if getattr(request, name) not in (None, False):
            raise InvalidInputError(
                f"{name}: this model answers intensities and decides no labels.", hint="Leave it out."
            )
    if any(request.contexts):
        raise InvalidInputError(NO_CONTEXT, hint="Leave context out.")
    if request.reads_whole:
        raise InvalidInputError(
            "long_texts: intensities of windows are not put together; a long text loses its middle.",
            hint='Leave it out, or say "head_tail".',
        )


def refuse_scores(bundle: Bundle) -> None:
    """Refuse forms of other servers, which have a place for probabilities alone.

    Raises:
        InvalidInputError: when the bundle answers intensities.
    """
    if bundle.readout is not None:
        raise InvalidInputError(
            "this model answers intensities, for which the form of this request has no place.",
            hint='Ask POST /predict with {"texts": [...]}.',
        )


def about_intensities(readout: Readout) -> dict[str, Any]:
    """What an answer says of its intensities as a whole."""
    return {"task": "intensity", "scale": readout.scale.to_json(), "interval_level": readout.interval_level}


Pieces = list[str]


def read_intensities(
    texts: Sequence[str | RequestError], request: PredictRequest, bundle: Bundle, readout: Readout
) -> Generator[Pieces, Sequence[Row | RequestError], list[tuple[dict[str, Any], Row | RequestError]]]:
    """Read texts in one piece each; a generator that yields those it wants rows of, and is sent the rows.

    Returns:
        For each text its `TextResult`, and its row or why it has none.

    Raises:
        InvalidInputError: for a request that is made for labels.
    """
    check_intensity_request(request)
    wanted = [text for text in texts if isinstance(text, str)]
    rows = iter((yield wanted) if wanted else ())
    answers = [text if isinstance(text, RequestError) else next(rows) for text in texts]
    return [
        (
            {"error": error_body(answer)} if isinstance(answer, RequestError) else result_of(answer, bundle, readout),
            answer,
        )
        for answer in answers
    ]


def result_of(row: Row, bundle: Bundle, readout: Readout) -> dict[str, Any]:
    """The answer for one text, a `TextResult`: the most intense label first."""
    logits = bundle.calibration.logits(row.probabilities)
    return {"intensities": intensities_of(logits, readout), **facts_of(row)}


def intensities_of(logits: NDArray[np.float64], readout: Readout) -> list[dict[str, Any]]:
    """Each label's intensity, interval and level, of logits of shape (L,)."""
    values = readout.intensities(logits[None])
    low, high = readout.intervals(values)
    levels = readout.levels(logits[None])
    return [
        {
            "label": readout.labels[place],
            "intensity": round(float(values[0, place]), DIGITS),
            "low": round(float(low[0, place]), DIGITS),
            "high": round(float(high[0, place]), DIGITS),
            "level": None if levels is None else round(float(levels[0, place]), DIGITS),
        }
        for place in np.argsort(-readout.scale.shares(values[0]), kind="stable").tolist()
    ]
