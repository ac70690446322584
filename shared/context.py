"""A text with the turns of the conversation before it, and how a model reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

SPEAKER_FORM = "{speaker}: {text}"
"""A turn whose speaker is known, as the tokenizer gets it; one of a nameless speaker is its text alone."""

MOST_TURNS = 64
"""Previous turns of one text: more do not fit in a row of tokens."""

MOST_SPEAKER_CHARACTERS = 100

NOT_A_TURN = 'a turn is a text, or an object {"text": ..., "speaker": ...}'


class Turn(NamedTuple):
    """What somebody said before."""

    text: str
    speaker: str | None = None


Context = tuple[Turn, ...]
"""Previous turns, the oldest first."""


class Utterance(str):
    """A text that carries the turns before it: a string to everything but the tokenizer, which reads both.

    What is made of it (a slice, a replacement) is a plain string without context.
    """

    __slots__ = ("context",)
    context: Context

    def __new__(cls, text: str, context: Iterable[Turn]) -> Utterance:
        """A text and its previous turns, the oldest first."""
        made = super().__new__(cls, text)
        made.context = tuple(context)
        return made

    def __reduce__(self) -> tuple[type[Utterance], tuple[str, Context]]:
        """Both parts cross a pipe."""
        return Utterance, (str(self), self.context)


def with_context(text: str, context: Sequence[Turn]) -> str:
    """The text with its previous turns; the text alone where there are none."""
    return Utterance(text, context) if context else text


def context_of(text: Any) -> Context:
    """The previous turns that a text carries; none of a plain string."""
    return text.context if isinstance(text, Utterance) else ()


def num_characters(text: str) -> int:
    """Characters of a text and of the turns before it."""
    return len(str(text)) + sum(len(turn.text) + len(turn.speaker or "") for turn in context_of(text))


def read_turns(value: Any) -> Context:
    """Turns from JSON values: a list of texts, or of objects with `text` and maybe `speaker`; None is no turn.

    Raises:
        ValueError: when it is something else; the message repeats nothing of the value.
    """
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError(f"previous turns are a list, the oldest first; {NOT_A_TURN}")  # noqa: TRY004
    return tuple(_turn(each) for each in value)


def read_cell(value: Any) -> Context:
    """Turns in a cell of a table: a list, a JSON list as text, or the text of a single turn; empty is no turn.

    Raises:
        ValueError: when it is a list of something else than turns.
    """
    if not isinstance(value, str):
        return read_turns(value)
    text = value.strip()
    if not text:
        return ()
    if text.startswith("[") and text.endswith("]"):
        try:
            return read_turns(json.loads(text))
        except (json.JSONDecodeError, RecursionError):
            pass  # a text in brackets
    return (Turn(text),)


def _turn(value: Any) -> Turn:
    if isinstance(value, str):
        return Turn(value)
    if isinstance(value, Turn):
        return value
    if isinstance(value, Mapping) and set(value) <= {"text", "speaker"}:
        text, speaker = value.get("text"), value.get("speaker")
        if isinstance(text, str) and (speaker is None or isinstance(speaker, str)):
            return Turn(text, speaker or None)
    raise ValueError(NOT_A_TURN)


def turns_to_json(context: Sequence[Turn]) -> list[Any]:
    """Turns as JSON values: a text where the speaker is not known, else an object."""
    return [turn.text if turn.speaker is None else turn._asdict() for turn in context]


@dataclass(frozen=True)
class ContextFormat:
    """How previous turns become the second segment of a row of tokens; part of a bundle.

    Attributes:
        length: most tokens of the turns, the separators around them included.
        turns: how many of the last turns are read; all that fit when None.
        speakers: whether a turn begins with the name of its speaker, as in `SPEAKER_FORM`.
    """

    length: int
    turns: int | None = None
    speakers: bool = True

    def said(self, context: Sequence[Turn]) -> list[str]:
        """The turns that are read, as texts, the oldest first."""
        last = context if self.turns is None else context[max(0, len(context) - self.turns) :]
        return [
            SPEAKER_FORM.format(speaker=turn.speaker, text=turn.text) if self.speakers and turn.speaker else turn.text
            for turn in last
        ]

    def to_json(self) -> dict[str, Any]:
        """For `bundle.json`; the form of a speaker is written out for other readers."""
        return asdict(self) | {"speaker_form": SPEAKER_FORM if self.speakers else None}

    @classmethod
    def from_json(cls, value: Any) -> ContextFormat:
        """What `to_json` wrote.

        Raises:
            ValueError: when it is something else.
        """
        if not isinstance(value, dict) or not {"length", "turns", "speakers"} <= value.keys():
            raise ValueError("not a context format")
        length, turns, speakers = value["length"], value["turns"], value["speakers"]
        if not _is_count(length) or not (turns is None or _is_count(turns)) or not isinstance(speakers, bool):
            raise ValueError("not a context format")
        if value.get("speaker_form") not in (None, SPEAKER_FORM):
            raise ValueError("another form of speakers")
        return cls(length, turns, speakers)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def contexts_for(value: Any, number: int) -> list[Context]:
    """The previous turns of each of `number` texts: a list of turns for a single text, else a list of such lists.

    Args:
        value: JSON values; None, for all or for a text of a list, is no turns.
        number: of texts.

    Raises:
        ValueError: when it is something else, or can be read in two ways; the message repeats nothing of the value.
    """
    if value is None:
        return [()] * number
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"context: previous turns are a list, the oldest first; {NOT_A_TURN}")  # noqa: TRY004
    contexts: list[Context]
    by_text = [turns is None or (isinstance(turns, Sequence) and not _is_turn(turns)) for turns in value]
    if not any(by_text):
        if number != 1 and value:
            raise ValueError(
                f"context: one list of turns for {number} texts could be the turns before each of them, or one turn "
                "for each; give a list of turns for each text, [[...], [...]]"
            )
        contexts = [_of_text(value)] if number == 1 else [()] * number
    elif all(by_text):
        if len(value) != number:
            raise ValueError(f"context: {len(value)} lists of turns for {number} texts")
        contexts = [_of_text(turns) for turns in value]
    else:
        raise ValueError("context: some entries are turns and others lists of turns")
    for turns in contexts:
        if len(turns) > MOST_TURNS:
            raise ValueError(f"context: {len(turns)} previous turns; allowed: at most {MOST_TURNS}")
        if any(len(turn.speaker or "") > MOST_SPEAKER_CHARACTERS for turn in turns):
            raise ValueError(f"context: a speaker has at most {MOST_SPEAKER_CHARACTERS} characters")
    return contexts


def _of_text(value: Any) -> Context:
    try:
        return read_turns(value)
    except ValueError as error:
        raise ValueError(f"context: {error}") from None


def _is_turn(value: Any) -> bool:
    return isinstance(value, str | bytes | Turn)
