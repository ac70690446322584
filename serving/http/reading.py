"""How texts are read: into the pieces that the model is asked about, and from its answers to results.

Nothing here waits or runs a model: `read` yields the pieces it wants probabilities of, and is sent them. The service
drives it from its batcher, the Python interface from a loop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.batching.jobs import Row
from serving.http.intensities import check_intensity_request, read_intensities
from serving.http.reasons import reasons
from serving.http.response_schemas import DIGITS
from serving.http.responses import DecisionRules, error_body, facts_of, grouped, labels_of, read_by_profile, rules_for
from serving.http.schemas import PredictRequest
from serving.text_checks import MIN_COVERAGE, OTHER_LANGUAGE, TOO_SHORT, TRUNCATED, UNKNOWN_TOKENS
from shared.bundle import Bundle
from shared.context import context_of, with_context
from shared.errors import InvalidInputError, RequestError
from shared.intensity import Readout
from shared.occlusion import parts, without
from shared.segments import LANGUAGE, Offsets, split
from shared.thresholds import decide


@dataclass(frozen=True)
class Pieces:
    """What the model is to be asked about, and whether what is long is read whole."""

    texts: list[str]
    whole: bool


@dataclass(frozen=True)
class Reading:
    """The answer for one text.

    Attributes:
        result: a `TextResult`.
        row: probabilities of the text, None for one with an error; as served where it was read in one piece.
        decided: labels decided, shape (L,); None with it.
        error: why there is no answer.
    """

    result: dict[str, Any]
    row: Row | None = None
    decided: NDArray[np.bool_] | None = None
    error: RequestError | None = None


Rows = Sequence[Row | RequestError]


@dataclass
class _Text:
    """A text on its way: its pieces, and what is known of them so far; `served` are the rows before the profile."""

    text: str
    places: list[Offsets]
    served: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)

    def pieces(self) -> list[str]:
        """What the model is asked about, each piece with the turns before the text."""
        return [with_context(self.text[start:end], context_of(self.text)) for start, end in self.places]


def read(
    texts: Sequence[str | RequestError], request: PredictRequest, bundle: Bundle, *, served: Bundle, most_pieces: int
) -> Generator[Pieces, Rows, list[Reading]]:
    """Read texts as a request wants it; a generator that yields `Pieces` and is sent a row for each of them.

    Args:
        texts: N texts, or why one cannot be read.
        request: segments, policy, taxonomy and the like.
        bundle: deciding as the request's profile.
        served: the same as it is in service, by which the rows are calibrated.
        most_pieces: most that is asked of the model at once.

    Returns:
        N readings.

    Raises:
        InvalidInputError: when the request does not fit the bundle, or has more pieces than are taken at once.
    """
    if bundle.readout is not None:
        return (yield from _intensities(texts, request, bundle, bundle.readout, most_pieces))
    rules = rules_for(request, bundle)
    cut = [_cut(text, request) for text in texts]
    readable = [each for each in cut if isinstance(each, _Text)]
    wanted = [piece for each in readable for piece in each.pieces()]
    _check_number(len(wanted), most_pieces, "segments")
    rows = iter((yield Pieces(wanted, request.reads_whole)) if wanted else ())
    found = [each if isinstance(each, RequestError) else _with_rows(each, rows, served, bundle) for each in cut]
    if request.explain:
        answered = [each for each in found if isinstance(each, _Text)]
        taken_out = [_parts_to_explain(each, rules) for each in answered]
        _check_number(sum(map(_num_runs, answered, taken_out)), most_pieces, "model runs for words to explain")
        wanted = [text for each, of_text in zip(answered, taken_out, strict=True) for text in _occluded(each, of_text)]
        rows = _by_profile((yield Pieces(wanted, request.reads_whole)) if wanted else (), served, bundle)
        explained = (
            _with_reasons(each, of_text, rows, rules, bundle) for each, of_text in zip(answered, taken_out, strict=True)
        )
        found = [next(explained) if isinstance(each, _Text) else each for each in found]
    return [
        Reading({"error": error_body(each)}, error=each)
        if isinstance(each, RequestError)
        else _reading(each, rules, bundle, segmented=request.segments is not None)
        for each in found
    ]


def _intensities(
    texts: Sequence[str | RequestError], request: PredictRequest, bundle: Bundle, readout: Readout, most_pieces: int
) -> Generator[Pieces, Rows, list[Reading]]:
    """The same of a bundle of intensities, which reads every text in one piece and decides nothing."""
    asking = read_intensities(texts, request, bundle, readout)
    rows: Rows | None = None
    while True:
        try:
            wanted = next(asking) if rows is None else asking.send(rows)
        except StopIteration as done:
            nothing = np.zeros(len(readout.labels), dtype=np.bool_)
            return [
                Reading(result, error=row) if isinstance(row, RequestError) else Reading(result, row, nothing)
                for result, row in done.value
            ]
        _check_number(len(wanted), most_pieces, "texts")
        rows = yield Pieces(wanted, False)


def check_request(request: PredictRequest, bundle: Bundle) -> None:
    """Refuse a request that does not fit a bundle, before anything is read.

    Raises:
        InvalidInputError: naming the field.
    """
    if bundle.readout is not None:
        check_intensity_request(request)
    else:
        rules_for(request, bundle)


def _by_profile(rows: Rows, served: Bundle, bundle: Bundle) -> Iterator[Row | RequestError]:
    return (row if isinstance(row, RequestError) else read_by_profile(row, served, bundle) for row in rows)


def _check_number(number: int, most: int, what: str) -> None:
    if number > most:
        raise InvalidInputError(
            f"{number} {what} in one request; allowed: at most {most}.", hint="Send fewer or shorter texts at once."
        )


def _cut(text: str | RequestError, request: PredictRequest) -> _Text | RequestError:
    if isinstance(text, RequestError):
        return text
    try:
        places = (
            [(0, len(text))]
            if request.segments is None
            else split(text, request.segments, (request.language or LANGUAGE).split("-", 1)[0])
        )
    except RequestError as error:
        return error.with_traceback(None)  # whose frames would hold the error
    return _Text(text, places)


def _with_rows(each: _Text, rows: Iterator[Row | RequestError], served: Bundle, bundle: Bundle) -> _Text | RequestError:
    answers = [next(rows) for _ in each.places]
    for answer in answers:
        if isinstance(answer, RequestError):
            return answer
    found = [answer for answer in answers if isinstance(answer, Row)]
    each.served = [read_by_profile(row, served, served) for row in found]
    each.rows = [read_by_profile(row, served, bundle) for row in found]
    return each


def _parts_to_explain(each: _Text, rules: DecisionRules) -> list[list[Offsets]]:
    """Parts of every piece that decides a label; none of another."""
    return [
        parts(piece) if decide(row.probabilities, rules.thresholds, argmax=rules.argmax).any() else []
        for piece, row in zip(each.pieces(), each.rows, strict=True)
    ]


def _num_runs(each: _Text, taken_out: list[list[Offsets]]) -> int:
    """Model runs that the parts cost: without a part, a piece has about as many windows as with it."""
    return sum(len(found) * max(1, len(row.windows)) for found, row in zip(taken_out, each.rows, strict=True))


def _occluded(each: _Text, taken_out: list[list[Offsets]]) -> Iterator[str]:
    """The pieces of a text without each of their parts in turn; the turns before it stay."""
    return (
        without(piece, part) for piece, found in zip(each.pieces(), taken_out, strict=True) for part in found
    )  # fmt: skip


def _with_reasons(
    each: _Text, taken_out: list[list[Offsets]], rows: Iterator[Row | RequestError], rules: DecisionRules,
    bundle: Bundle,
) -> _Text | RequestError:  # fmt: skip
    answers = [[next(rows) for _ in found] for found in taken_out]
    for row in (row for piece in answers for row in piece):
        if isinstance(row, RequestError):
            return row
    for place, piece, row, without_each in zip(each.places, each.pieces(), each.rows, answers, strict=True):
        lost = [answer.probabilities for answer in without_each if isinstance(answer, Row)]
        each.reasons.append(reasons(piece, row.probabilities, lost, rules, bundle, offset=place[0]) if lost else {})
    return each


def _reading(each: _Text, rules: DecisionRules, bundle: Bundle, *, segmented: bool) -> Reading:
    row = _joined(each.rows, bundle) if segmented else each.rows[0]
    # a text of one segment is that segment: thresholds of texts are fitted on several
    of_text = replace(rules, thresholds=rules.text_thresholds) if len(each.rows) > 1 else rules
    decided = decide(row.probabilities, of_text.thresholds, argmax=rules.argmax)
    found = {**labels_of(row.probabilities, of_text, bundle), **facts_of(row)}
    if not segmented:
        return Reading(found | ({"reasons": each.reasons[0]} if each.reasons else {}), each.served[0], decided)
    segments = [
        {"start": start, "end": end, **labels_of(piece.probabilities, rules, bundle), "warnings": list(piece.warnings)}
        for (start, end), piece in zip(each.places, each.rows, strict=True)
    ]
    for segment, why in zip(segments, each.reasons, strict=False):  # none, where they were not asked for
        segment["reasons"] = why
    return Reading(
        {**found, "segments": segments, "timeline": _timeline(each.rows, row, rules, of_text, bundle)}, row, decided
    )


def _joined(rows: Sequence[Row], bundle: Bundle) -> Row:
    """The answer for a text, of those for its segments."""
    sizes = np.array([row.num_tokens for row in rows])

    def share(code: str) -> float:
        return float(sizes[[code in row.warnings for row in rows]].sum() / sizes.sum())

    coverage = float(np.average([row.coverage for row in rows], weights=sizes))
    truncated = any(row.truncated for row in rows)
    codes = (
        (UNKNOWN_TOKENS, coverage <= MIN_COVERAGE),
        (OTHER_LANGUAGE, share(OTHER_LANGUAGE) >= 0.5),
        (TOO_SHORT, len(rows) == 1 and TOO_SHORT in rows[0].warnings),
        (TRUNCATED, truncated),
    )
    probabilities = bundle.aggregation.apply(
        np.stack([row.probabilities for row in rows]), bundle.calibration.activation
    )
    warnings = tuple(code for code, applies in codes if applies)
    return Row(probabilities, int(sizes.sum()), truncated, coverage, warnings)


def _timeline(
    rows: Sequence[Row], whole: Row, rules: DecisionRules, of_text: DecisionRules, bundle: Bundle
) -> dict[str, list[float]]:
    """Label decided in a segment or in the text -> its probability in every segment."""
    names, p, thresholds = grouped(whole.probabilities, of_text, bundle)
    decided = decide(p, thresholds, argmax=rules.argmax)
    course = []
    for row in rows:
        _, p, thresholds = grouped(row.probabilities, rules, bundle)
        decided = decided | decide(p, thresholds, argmax=rules.argmax)
        course.append(p)
    return {
        names[label]: [round(float(p[label]), DIGITS) for p in course] for label in np.flatnonzero(decided).tolist()
    }
