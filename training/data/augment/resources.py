"""The hand-written word lists that augmentation works with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "resources"


@dataclass(frozen=True)
class Template:
    """A phrase and another way to say it."""

    pattern: re.Pattern[str]
    replacement: str


@dataclass(frozen=True)
class Resources:
    """Everything in `resources/`.

    Attributes:
        synonyms: words that can stand for a word, all in lower case.
        cues: labels that a word shows by itself.
        openers: clauses to put in front of a text.
        closers: clauses to put behind it.
        templates: phrases said another way.
    """

    synonyms: dict[str, tuple[str, ...]]
    cues: dict[str, frozenset[str]]
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    templates: tuple[Template, ...]


@lru_cache(maxsize=1)
def read_resources() -> Resources:
    """Read the lists; they are part of the package."""
    contexts = _lines("contexts.txt")
    return Resources(
        synonyms=_synonyms(_lines("synonyms.txt")),
        cues=_cues(_lines("cues.txt")),
        openers=tuple(line[2:] for line in contexts if line.startswith("< ")),
        closers=tuple(line[2:] for line in contexts if line.startswith("> ")),
        templates=tuple(_template(line) for line in _lines("templates.txt")),
    )


def _lines(name: str) -> list[str]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _synonyms(lines: list[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        replaced, _, only_replacing = line.partition(" > ")
        group = [*replaced.split(), *only_replacing.split()]
        for word in replaced.split():
            others = (*found.get(word, ()), *(other for other in group if other != word))
            found[word] = tuple(dict.fromkeys(others))
    return found


def _cues(lines: list[str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in lines:
        label, _, words = line.partition(":")
        for word in words.split():
            found[word] = found.get(word, frozenset()) | {label}
    return found


def _template(line: str) -> Template:
    pattern, _, replacement = line.partition(" => ")
    return Template(re.compile(pattern.replace("'", "['’]"), re.IGNORECASE), replacement)
