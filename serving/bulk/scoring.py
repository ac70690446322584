"""Parts scored in one process: the same code on one machine, and on each of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from serving.bulk.job import Job, added_columns, check_decisions
from serving.predictor import MAX_BATCH_TOKENS, Predictor
from serving.runtime import CPU
from serving.text_checks import TextChecks
from shared.intensity import Readout
from shared.tables.values import to_text
from shared.text import normalise

if TYPE_CHECKING:
    from serving.bulk.reading import Part
    from shared.tokenizer import Encoded

CPU_BATCH_TOKENS = 512
"""Most tokens of a batch on a CPU, padding included: what a layer computes stays in its cache (docs/bulk.md)."""


@dataclass(frozen=True)
class Prepared:
    """N texts before the model reads them.

    Attributes:
        texts: as they are.
        usable: the rows that are not empty.
        encoded: their token ids; None where they are read by segments.
    """

    texts: Sequence[str]
    usable: Sequence[int]
    encoded: Sequence[Encoded] | None


@dataclass(frozen=True)
class ScoredPart:
    """A part as it stands in the output, and what there is to count in it."""

    file: int
    number: int
    body: bytes
    rows: int
    empty: int


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
        self.predictor, self.job = predictor, job
        self._checks = TextChecks(predictor.bundle)
        self._batch_tokens = CPU_BATCH_TOKENS if predictor.provider == CPU else MAX_BATCH_TOKENS
        self.added = added_columns(predictor.labels, graded=predictor.bundle.readout is not None)

    @classmethod
    def open(cls, job: Job) -> Scorer:
        """Load the bundle.

        Raises:
            EmotionError: as `Predictor.load`, and for an unknown profile or policy.
        """
        predictor = Predictor.load(job.bundle, precision=job.precision, provider=job.provider, threads=job.threads)
        predictor = predictor.with_profile(job.profile)
        check_decisions(predictor.bundle, policy=job.policy, segments=job.segments)
        return cls(predictor, job)

    @property
    def model(self) -> str:
        """What computes the logits."""
        return f"{self.predictor.precision}, {self.predictor.provider}"

    def prepare(self, values: Sequence[Any]) -> Prepared:
        """Texts, and their token ids: what can be done while the model reads others."""
        texts = [to_text(value) for value in values]
        usable = [row for row, text in enumerate(texts) if normalise(text)]
        if self.job.segments is not None:
            return Prepared(texts, usable, None)
        return Prepared(texts, usable, self.predictor.tokenizer.encode([texts[row] for row in usable]))

    def decide(self, prepared: Prepared) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Probabilities and decisions of the U usable texts, both of shape (U, L)."""
        if prepared.encoded is None:
            texts = [prepared.texts[row] for row in prepared.usable]
            return by_segments(self.predictor, self._checks, texts, self.job.policy, self.job.segments or "sentence")
        logits = self.predictor.encoded_logits(prepared.encoded, self._batch_tokens)
        probabilities = self.predictor.probabilities(logits)
        return probabilities, self.predictor.policies.decide(probabilities, self.job.policy)

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
        return dict(zip(self.added, [*lists, *columns], strict=True))

    def _intensities(self, prepared: Prepared, readout: Readout) -> NDArray[np.float64]:
        """Intensity, lower and upper end of each label of the U usable texts, shape (U, 3 L)."""
        values = readout.intensities(self.predictor.encoded_logits(prepared.encoded or (), self._batch_tokens))
        return np.stack([values, *readout.intervals(values)], axis=2).reshape(len(values), -1)

    def prepare_part(self, part: Part) -> Prepared:
        """`prepare` of a part's texts."""
        return self.prepare(part.chunk.columns.get(self.job.text_column) or [None] * len(part.chunk))

    def score(self, part: Part, prepared: Prepared | None = None) -> ScoredPart:
        """A part as it stands in the output."""
        prepared = prepared or self.prepare_part(part)
        body = part.layout.part(part.chunk, self.columns(prepared))
        rows = len(prepared.texts)
        return ScoredPart(part.file, part.number, body, rows, rows - len(prepared.usable))


def by_segments(
    predictor: Predictor, checks: TextChecks, texts: Sequence[str], policy: str | None,
    segments: Literal["sentence", "paragraph"],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # fmt: skip
    """Probabilities and decisions of N texts put together from their segments, both of shape (N, L)."""
    from serving.http.schemas import PredictRequest  # noqa: PLC0415
    from serving.local_reading import read_here  # noqa: PLC0415

    request = PredictRequest(texts=[""], policy=policy, segments=segments)
    found = read_here(predictor, checks, texts, request, predictor.bundle)
    shape = (len(texts), len(predictor.labels))
    rows = [reading.row.probabilities for reading in found if reading.row is not None]
    decided = [reading.decided for reading in found if reading.decided is not None]
    return np.array(rows).reshape(shape), np.array(decided, dtype=np.bool_).reshape(shape)
