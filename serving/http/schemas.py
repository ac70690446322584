"""What a client sends: the shape of `POST /predict`, checked before anything is dispatched."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from serving.complaints import describe, one_complaint
from shared.context import MOST_SPEAKER_CHARACTERS, MOST_TURNS, Context, Turn, contexts_for, with_context
from shared.errors import BadRequestError, InvalidInputError
from shared.languages import language_code
from shared.text import normalise

_SURROGATE = re.compile("[\ud800-\udfff]")
MOST_OFFSETS = 20_000
"""Pairs of offsets in one request."""

NO_LIMIT = 2**62
"""The service limits the size of a request to protect itself; a caller in the same process needs no such limit."""

_EXAMPLE = '{"texts": ["I passed the exam!"]}'


def _whole(value: Any) -> Any:
    """1.0 is an integer in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _numbered(value: Any) -> Any:
    """A list is of a length that is allowed; looked at before its items are, which cost more."""
    if isinstance(value, list | tuple) and not 1 <= len(value) <= MOST_OFFSETS:
        raise ValueError(
            f"{len(value)} pairs of offsets; allowed: 1 to {MOST_OFFSETS}, or `sentence` or `paragraph` in their place"
        )
    return value


Offset = Annotated[StrictInt, Field(ge=0), BeforeValidator(_whole)]
Offsets = tuple[Offset, Offset]
Segments = Annotated[
    Literal["sentence", "paragraph"] | Annotated[list[Offsets], Field(min_length=1, max_length=MOST_OFFSETS)],
    one_complaint("must be `sentence`, `paragraph` or offsets [[start, end], ...] of whole numbers from 0"),
    BeforeValidator(_numbered),
]


def _language(value: str) -> str:
    """The code as it is written here."""
    try:
        return language_code(value)
    except InvalidInputError:
        raise ValueError("no code of a language; write it as en, deu or pt-BR: ISO 639, with a region") from None


Language = Annotated[StrictStr, AfterValidator(_language)]
Probability = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]


_TURN: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "text": {"type": "string", "minLength": 1},
                "speaker": {"anyOf": [{"type": "string", "maxLength": MOST_SPEAKER_CHARACTERS}, {"type": "null"}]},
            },
            "required": ["text"],
            "additionalProperties": False,
        },
    ]
}
_TURNS: dict[str, Any] = {"type": "array", "items": _TURN, "maxItems": MOST_TURNS}
ContextField = Annotated[
    Any,
    WithJsonSchema({"anyOf": [
        _TURNS, {"type": "array", "items": {"anyOf": [_TURNS, {"type": "null"}]}}, {"type": "null"},
    ]}),
]  # fmt: skip
"""Checked by `shared.context.contexts_for`."""


class PredictRequest(BaseModel):
    """Texts and how to decide: give either `texts` or `text`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: list[Any] | None = Field(
        default=None,
        min_length=1,
        description="The texts; one that is not usable gets an error of its own, in its place.",
    )
    text: Any = Field(default=None, description="A single text, in place of `texts`.")
    policy: StrictStr | None = Field(
        default=None, description="Decision policy, see GET /model; if unset, the default."
    )
    profile: StrictStr | None = Field(
        default=None, description="Profile to decide by, see GET /model; if unset, the bundle's default."
    )
    language: Language | None = Field(
        default=None,
        description="Language of the texts, as en, deu or pt-BR: decided by its own thresholds where the bundle has "
        "some, see `profile` of the answer, and by the shared ones elsewhere; in place of `profile`.",
    )
    thresholds: dict[StrictStr, Probability] | None = Field(
        default=None, max_length=1000, description="Thresholds of single labels, in place of the policy's."
    )
    top_k: Annotated[StrictInt, Field(ge=1, le=1000), BeforeValidator(_whole)] | None = Field(
        default=None, description="List the k most probable labels, decided or not; without it, the decided ones."
    )
    taxonomy: StrictStr | None = Field(default=None, description="goemotions, ekman or sentiment; see GET /model.")
    probabilities: StrictBool = Field(default=False, description="Add the probability of every label.")
    segments: Segments | None = Field(
        default=None,
        description="Read each sentence or paragraph by itself, or the pieces at offsets `[[start, end], ...]` of the "
        "one text, in Unicode code points; the answer for the text is put together from them. Without it, the text is "
        "read in one piece.",
    )
    long_texts: Literal["windows", "head_tail"] | None = Field(
        default=None,
        description="What is longer than the model reads is read whole, in overlapping windows (default with "
        "`segments`), or loses its middle (default without).",
    )
    context: ContextField = Field(
        default=None,
        description="The turns of the conversation before the text, the oldest first, each a text or an object with "
        "`text` and `speaker`; for several `texts` a list of such lists. Only for a bundle that was trained with "
        "context, see GET /model.",
    )
    explain: StrictBool = Field(
        default=False,
        description="Add to each decided label the words that speak for and against it: evidence about the model.",
    )

    @model_validator(mode="after")
    def _one_of_text_and_texts(self) -> PredictRequest:
        given = self.model_fields_set & {"text", "texts"}
        if len(given) != 1 or (given == {"texts"} and self.texts is None):
            raise ValueError(f"give either `text` or `texts`, for example {_EXAMPLE}")
        if self.profile is not None and self.language is not None:
            raise ValueError("give either `profile` or `language`: each says whose thresholds decide")
        if isinstance(self.segments, list) and len(self.candidates) != 1:
            raise ValueError("offsets in `segments` belong to one text; for several, give `sentence` or `paragraph`")
        contexts_for(self.context, len(self.candidates))
        return self

    @property
    def contexts(self) -> list[Context]:
        """The turns before each of the candidates."""
        return contexts_for(self.context, len(self.candidates))

    @property
    def reads_whole(self) -> bool:
        """Whether nothing of a long text, or of a long segment, is left out."""
        return (self.long_texts or ("head_tail" if self.segments is None else "windows")) == "windows"

    @property
    def single(self) -> bool:
        """Whether the request is about one text, so that its error is the request's error."""
        return self.texts is None

    @property
    def candidates(self) -> list[Any]:
        """What was given as texts, unchecked."""
        return [self.text] if self.texts is None else self.texts


def parse_json(body: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        BadRequestError: when it is not UTF-8 JSON, or holds NaN, an infinity or an absurdly deep or long value.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise BadRequestError("the body is not UTF-8.", hint=f"Send JSON such as {_EXAMPLE}") from None
    except json.JSONDecodeError as error:
        raise BadRequestError(
            f"the body is not valid JSON (line {error.lineno}, column {error.colno}).", hint=f"Send {_EXAMPLE}"
        ) from None
    except (ValueError, RecursionError):
        raise BadRequestError("the body holds a value that JSON does not allow, or is nested too deeply.") from None


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError


def parse_request(value: Any, *, max_texts: int) -> PredictRequest:
    """The checked request that the JSON of a body is.

    Raises:
        InvalidInputError: when a field is missing, unknown or has a value that is not allowed.
    """
    if not isinstance(value, dict):
        raise InvalidInputError("the body must be a JSON object.", hint=f"Send {_EXAMPLE}")
    try:
        request = PredictRequest.model_validate(value)
    except ValidationError as error:
        raise InvalidInputError(describe(error, PredictRequest), hint=f"A valid request: {_EXAMPLE}") from None
    if len(request.candidates) > max_texts:
        raise InvalidInputError(f"{len(request.candidates)} texts in one request; allowed: at most {max_texts}.")
    return request


def check_text(value: Any, *, max_characters: int, context: Context = ()) -> str:
    """The text itself, with the turns before it, when it can be classified.

    Raises:
        InvalidInputError: when it, or one of the turns, is not a string, empty, too long, or not valid Unicode.
    """
    for number, turn in enumerate(context, 1):
        try:
            _check_turn(turn, max_characters)
        except InvalidInputError as error:
            raise InvalidInputError(f"context, turn {number}: {error.message}") from None
    if not isinstance(value, str):
        raise InvalidInputError("the text is not a string.")
    if len(value) > max_characters:
        raise InvalidInputError(f"the text has {len(value)} characters; allowed: at most {max_characters}.")
    if _SURROGATE.search(value):
        raise InvalidInputError("the text is not valid Unicode: it holds half a surrogate pair.")
    if not normalise(value):
        raise InvalidInputError("the text is empty: it holds no visible character.")
    return with_context(value, context)


def can_be_read(turn: Turn) -> bool:
    """Whether a turn may stand before a text; one without a visible character, or not valid Unicode, may not."""
    try:
        _check_turn(turn, NO_LIMIT)
    except InvalidInputError:
        return False
    return True


def _check_turn(turn: Turn, max_characters: int) -> None:
    check_text(turn.text, max_characters=max_characters)
    if turn.speaker is not None and _SURROGATE.search(turn.speaker):
        raise InvalidInputError("the speaker is not valid Unicode.")
