"""What a client gets: the shapes of the answers of `POST /predict`, and of errors."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from serving.text_checks import WARNINGS

DIGITS = 6
"""Decimals of a probability in an answer."""


class WordScore(BaseModel):
    """A word, or a few of a long text, and what it adds to a label's log-odds: without it, they fall by so much."""

    start: int
    end: int
    word: str
    contribution: float


class LabelScore(BaseModel):
    """One label: decided where its probability reaches its threshold."""

    label: str
    probability: float
    threshold: float
    decided: bool


class ErrorBody(BaseModel):
    """The one form of every error, for a request or for one text of it."""

    error: str = Field(description="Short name, for programs: invalid_input, overloaded, ...")
    error_type: str = Field(description="Class of the error.")
    detail: str = Field(description="What was wrong and what is allowed, for people.")


class NearestLabel(BaseModel):
    """Where nothing is decided: the most probable label, and how much it lacks to its threshold."""

    label: str
    probability: float
    threshold: float
    distance: float


class IntensityScore(BaseModel):
    """One label of a model of intensities: how intense it is on the model's scale."""

    label: str
    intensity: float
    low: float = Field(description="Lower end of the interval, which holds the true one as often as `interval_level`.")
    high: float = Field(description="Upper end of the interval.")
    level: float | None = Field(default=None, description="The level decided, where the scale has levels.")


class ScaleBody(BaseModel):
    """What intensities lie between; `step` where the scale has levels."""

    low: float
    high: float
    step: float | None = None


Reasons = dict[str, list[WordScore]]
"""Decided label -> words, the one that adds most first."""


class SegmentResult(BaseModel):
    """The answer for one segment: `text[start:end]`."""

    start: int
    end: int
    labels: list[LabelScore]
    probabilities: dict[str, float] | None = None
    reasons: Reasons | None = None
    probably: NearestLabel | None = None
    warnings: list[str] = Field(default_factory=list)


class TextResult(BaseModel):
    """The answer for one text: labels, or an error of its own."""

    labels: list[LabelScore] | None = Field(default=None, description="Most probable first.")
    intensities: list[IntensityScore] | None = Field(
        default=None, description="In place of `labels` from a model of intensities; most intense first."
    )
    probabilities: dict[str, float] | None = Field(default=None, description="Of every label, when asked for.")
    probably: NearestLabel | None = Field(default=None, description="The most probable label, where none is decided.")
    reasons: Reasons | None = Field(default=None, description="With `explain`, of a text that is read in one piece.")
    segments: list[SegmentResult] | None = Field(default=None, description="In their order, when asked for.")
    timeline: dict[str, list[float]] | None = Field(
        default=None, description="With `segments`: label decided anywhere -> its probability in each of them."
    )
    coverage: float | None = Field(default=None, description="Share of the tokens that the model knows, 0 to 1.")
    warnings: list[str] | None = Field(default=None, description=f"Codes: {', '.join(WARNINGS)}.")
    truncated: bool | None = Field(default=None, description="Whether the middle of the text was left out.")
    num_tokens: int | None = Field(default=None, description="Tokens of the whole text, special tokens included.")
    error: ErrorBody | None = None


class PredictResponse(BaseModel):
    """One result a text, in their order; a request with `text` gets one result."""

    results: list[TextResult]
    profile: str
    policy: str | None = Field(default=None, description="From a model that decides labels.")
    taxonomy: str | None = Field(default=None, description="From a model that decides labels.")
    task: Literal["intensity"] | None = Field(default=None, description="From a model of intensities.")
    scale: ScaleBody | None = Field(default=None, description="Of the intensities.")
    interval_level: float | None = Field(
        default=None, description="Share of the intervals that hold the true intensity, on texts like those measured."
    )
    model: str = Field(description="Seal of the bundle that answered, see GET /model.")
