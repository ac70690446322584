"""Texts read in this process: what the service does with a batcher and model processes, in a loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from serving.batching.jobs import Row
from serving.http.reading import Reading, Rows, read
from serving.http.schemas import NO_LIMIT, PredictRequest
from serving.predictor import Predictor
from serving.text_checks import TextChecks
from serving.worker.encoding import encode
from serving.worker.wire import token_ids
from shared.bundle import Bundle
from shared.errors import RequestError


def answers(predictor: Predictor, checks: TextChecks, texts: Sequence[str], *, whole: bool = False) -> list[Row]:
    """The model's answers for N texts; `whole` reads what is long in windows."""
    tokens = encode(predictor.tokenizer, checks, texts, [whole] * len(texts))
    windows = [ids for row in tokens for ids in (row.ids, *row.more)]
    probabilities = iter(predictor.probabilities(predictor.encoded_logits(token_ids(windows))))
    return [reduce(Row.joined, [Row.of(next(probabilities), row) for _ in (row.ids, *row.more)]) for row in tokens]


def read_here(
    predictor: Predictor,
    checks: TextChecks,
    texts: Sequence[str | RequestError],
    request: PredictRequest,
    bundle: Bundle,
) -> list[Reading]:
    """Readings of N texts; for the arguments see `serving.http.reading.read`, `bundle` decides as a profile.

    Raises:
        InvalidInputError: when the request does not fit the bundle.
    """
    reading = read(texts, request, bundle, served=predictor.bundle, most_pieces=NO_LIMIT)
    rows: Rows | None = None
    while True:
        try:
            pieces = next(reading) if rows is None else reading.send(rows)
        except StopIteration as done:
            found: list[Reading] = done.value
            return found
        rows = answers(predictor, checks, pieces.texts, whole=pieces.whole)
