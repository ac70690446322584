"""Parts scored in one process: the same code on one machine, and on each of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serving.bulk.job import Job, check_decisions
from serving.bulk.reading import code_in, texts_of
from serving.predictor import Predictor
from serving.table_turns import Turns, smoothed
from serving.text_checks import TextChecks
from shared.context import with_context
from shared.intensity import Readout
from shared.profiles import for_language
from shared.tables import Chunk
from shared.text import is_blank

if TYPE_CHECKING:
    from serving.bulk.reading import Part
    from shared.tokenizer import Encoded


@dataclass(frozen=True)
class Prepared:
    """N texts before the model reads them.

    Attributes:
        texts: as they are, with their previous turns.
        usable: the rows that are not empty.
        encoded: their token ids; None where they are read by segments.
        languages: of the usable ones, by code; None where all are decided alike.
        begins: whether each text begins a dialogue; None where there are none.
    """

    texts: Sequence[str]
    usable: Sequence[int]
    encoded: Sequence[Encoded] | None
    languages: Sequence[str | None] | None = None
    begins: Sequence[bool] | None = None


@dataclass(frozen=True)
class ScoredPart:
    """A part as it stands in the output, what there is to count in it, and notes on what is not written as it was."""

    file: int
    number: int
    body: bytes
    rows: int
    empty: int
    notes: Sequence[str] = ()


class Scorer:
    """Scores texts and parts.

    Args:
        predictor: the model, with the profile that decides.
        job: how.

    Attributes:
        model: precision and provider, in words.
        added: names of the columns that it gives.
    """

    def __init__(self, predictor: Predictor, job: Job) -> None:
        self.predictor = predictor
        self.job = job = replace(job, graded=predictor.bundle.readout is not None)
        self._checks = TextChecks(predictor.bundle)
        self._smoother = None if job.turns is None else job.turns.smoother()
        self.added = job.added(predictor.labels)

    @classmethod
    def open(cls, job: Job) -> Scorer:
        """Load the bundle.

        Raises:
            EmotionError: as `Predictor.load`, and for an unknown profile or policy.
        """
        predictor = Predictor.load(job.bundle, precision=job.precision, provider=job.provider, threads=job.threads)
        predictor = predictor.with_profile(job.profile)
        check_decisions(predictor.bundle, policy=job.policy, segments=job.segments, language_column=job.language_column)
        return cls(predictor, job)

    @property
    def model(self) -> str:
        """What computes the logits."""
        return f"{self.predictor.precision}, {self.predictor.provider}"

    def prepare(self, chunk: Chunk, turns: Turns | None = None) -> Prepared:
        """Texts, and their token ids: what can be done while the model reads others.

        Args:
            chunk: the rows.
            turns: what stands before them.
        """
        texts = texts_of(chunk, self.job)
        if turns is not None:
            texts = list(map(with_context, texts, turns.contexts))
        usable = [row for row, text in enumerate(texts) if not is_blank(text)]
        encoded = None
        if self.job.segments is None:
            encoded = self.predictor.tokenizer.encode([texts[row] for row in usable])
        languages = None
        if self.job.language_column is not None:
            cells = chunk.columns.get(self.job.language_column) or [None] * len(chunk)
            languages = [code_in(cells[row]) for row in usable]
        return Prepared(texts, usable, encoded, languages, None if turns is None else turns.begins)

    def decide(self, prepared: Prepared) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Probabilities and decisions of the U usable texts, both of shape (U, L)."""
        shape = (len(prepared.usable), len(self.predictor.labels))
        probabilities, decisions = np.empty(shape), np.empty(shape, dtype=np.bool_)
        logits = None
        if prepared.encoded is not None:
            logits = self.predictor.encoded_logits(prepared.encoded)
        for code, rows in self._by_language(prepared):
            predictor = self.predictor
            if prepared.languages is not None:
                predictor = predictor.with_profile(for_language(predictor.bundle.profiles, code))
            if logits is not None:
                probabilities[rows] = predictor.probabilities(logits[rows])
                decisions[rows] = predictor.policies.decide(probabilities[rows], self.job.policy)
            else:
                texts = [prepared.texts[prepared.usable[row]] for row in rows]
                probabilities[rows], decisions[rows] = by_segments(predictor, self._checks, texts, self.job, code)
        return probabilities, decisions

    def _by_language(self, prepared: Prepared) -> Iterator[tuple[str | None, list[int]]]:
        """Usable texts that are decided together, by their places, with the language they are in."""
        codes = prepared.languages or [self.job.language] * len(prepared.usable)
        for code in dict.fromkeys(codes):
            yield code, [row for row, other in enumerate(codes) if other == code]

    def columns(self, prepared: Prepared) -> Mapping[str, list[Any]]:
        """The added columns of N texts; an empty one has no labels, and None for numbers."""
        lists: list[list[Any]] = []
        if self.predictor.bundle.readout is not None:
            columns = self._intensities(prepared, self.predictor.bundle.readout).T.tolist()
        else:
            probabilities, decisions = self.decide(prepared)
            lists = [[list(names) for names in self.predictor.bundle.label_set.names_of(decisions)]]
            columns = probabilities.T.tolist()
        if len(prepared.usable) < len(prepared.texts):
            place_of = dict(zip(prepared.usable, range(len(prepared.usable)), strict=True))
            places = [place_of.get(row) for row in range(len(prepared.texts))]
            lists = [[[] if place is None else names[place] for place in places] for names in lists]
            columns = [[None if place is None else column[place] for place in places] for column in columns]
        found = dict(zip(self.added, [*lists, *columns], strict=False))
        if self._smoother is not None and prepared.begins is not None:
            found |= smoothed(self._smoother, prepared.begins, self.predictor.labels, found)
        return found

    def _intensities(self, prepared: Prepared, readout: Readout) -> NDArray[np.float64]:
        """Intensity, lower and upper end of each label of the U usable texts, shape (U, 3 L)."""
        values = readout.intensities(self.predictor.encoded_logits(prepared.encoded or ()))
        return np.stack([values, *readout.intervals(values)], axis=2).reshape(len(values), -1)

    def prepare_part(self, part: Part) -> Prepared:
        """`prepare` of a part's texts."""
        return self.prepare(part.chunk, part.turns)

    def score(self, part: Part, prepared: Prepared | None = None) -> ScoredPart:
        """A part as it stands in the output."""
        prepared = prepared or self.prepare_part(part)
        body, notes = part.layout.part(part.chunk, self.columns(prepared))
        rows = len(prepared.texts)
        return ScoredPart(part.file, part.number, body, rows, rows - len(prepared.usable), notes)


def by_segments(
    predictor: Predictor, checks: TextChecks, texts: Sequence[str], job: Job, language: str | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities and decisions of N texts in one language put together from their segments, both of shape (N, L)."""
    from serving.http.schemas import PredictRequest  # noqa: PLC0415
    from serving.local_reading import read_here  # noqa: PLC0415

    request = PredictRequest(texts=[""], policy=job.policy, segments=job.segments, language=language)
    found = read_here(predictor, checks, texts, request, predictor.bundle)
    shape = (len(texts), len(predictor.labels))
    rows = [reading.row.probabilities for reading in found if reading.row is not None]
    decided = [reading.decided for reading in found if reading.decided is not None]
    return np.array(rows).reshape(shape), np.array(decided, dtype=np.bool_).reshape(shape)
