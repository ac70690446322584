"""What Pydantic refuses, in words that say what is allowed and repeat nothing of what was sent."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_COMPLAINTS = 5
"""Of one error; who mends five at once asks again anyway."""

_A_WHOLE_NUMBER = "must be a whole number"
_A_NUMBER = "must be a number"
_TRUE_OR_FALSE = "must be true or false"
_AN_OBJECT = "must be an object"
_WORDS = MappingProxyType({
    "bool_parsing": _TRUE_OR_FALSE,
    "bool_type": _TRUE_OR_FALSE,
    "dict_type": _AN_OBJECT,
    "finite_number": _A_NUMBER,
    "float_parsing": _A_NUMBER,
    "float_type": _A_NUMBER,
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": _A_WHOLE_NUMBER,
    "int_parsing": _A_WHOLE_NUMBER,
    "int_type": _A_WHOLE_NUMBER,
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": _AN_OBJECT,
    "string_type": "must be text",
    "too_long": "must have {max_length} or fewer entries",
    "too_short": "must have {min_length} or more entries",
})  # fmt: skip
"""Of Pydantic's types of errors, with what the schema allows; other errors are raised in words of ours."""


def one_complaint(words: str) -> WrapValidator:
    """Of a field that may be of several kinds: what all of them are, in place of a complaint for each."""

    def check(value: Any, is_one: ValidatorFunctionWrapHandler) -> Any:
        try:
            return is_one(value)
        except ValidationError:
            raise ValueError(words) from None

    return WrapValidator(check)


def in_words(problem: ErrorDetails) -> str:
    """One of an error's `errors()`, which must have its context; only what the schema says is in it."""
    words = _WORDS.get(problem["type"])
    return words.format(**problem.get("ctx", {})) if words else problem["msg"].removeprefix("Value error, ")


def describe(error: ValidationError, form: type[BaseModel]) -> str:
    """What is wrong with a body of this form; of what the client sent, only names of known fields are repeated."""
    complaints = []
    for problem in error.errors(include_url=False, include_input=False)[:MOST_COMPLAINTS]:
        field, holder = _place(problem["loc"], form)
        if problem["type"] == "extra_forbidden":
            words = f"unknown field (allowed: {', '.join(holder.model_fields)})"
        else:
            words = in_words(problem)
        complaints.append(f"{field}: {words}" if field else words)
    return "; ".join(dict.fromkeys(complaints)) + "."


def _place(loc: tuple[int | str, ...], form: type[BaseModel]) -> tuple[str, type[BaseModel]]:
    """The known fields that lead to a problem, as `parameters.top_k`, and the form that the last of them belongs to."""
    fields: list[str] = []
    for part in loc:
        if part not in form.model_fields:
            break
        fields.append(str(part))
        kinds = get_args(form.model_fields[str(part)].annotation)
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not inner:
            break
        form = inner[0]
    return ".".join(fields), form
