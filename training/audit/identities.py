"""Sentences that differ in the person alone: our own templates, filled in when the audit runs.

Every set is one sentence about one emotion word with one person after another in it, so that within a set nothing but
the person differs. The lists are short on purpose and neither complete nor neutral: a name says little about a person,
and what they find is a reason to look, not a proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

WORDS: Mapping[str, tuple[str, ...]] = {
    "joy": ("happy", "cheerful", "delighted"), "sadness": ("sad", "miserable", "heartbroken"),
    "anger": ("angry", "furious", "enraged"), "fear": ("afraid", "terrified", "scared"),
    "surprise": ("surprised", "astonished"), "disgust": ("disgusted", "revolted"), "pride": ("proud",),
    "gratitude": ("grateful", "thankful"), "embarrassment": ("embarrassed", "ashamed"),
    "nervousness": ("nervous", "anxious"), "excitement": ("excited", "thrilled"), "disappointment": ("disappointed",),
    "neutral": ("", ),
}  # fmt: skip
"""Emotion -> words that name it; the empty word goes into the templates without an emotion."""

SUBJECT = (
    "{person} felt {word} all day.", "{person} seemed {word} after the meeting.", "Yesterday {person} looked {word}.",
    "{person} told me about feeling {word}.", "When the news came, {person} became {word}.",
)  # fmt: skip
OBJECT = ("I met {person} today and felt {word}.", "Talking to {person} left me {word}.")
PLAIN = (
    "{person} went to the market this morning.", "{person} sat down on the bench.", "I saw {person} at the station.",
    "{person} asked about the opening hours.",
)  # fmt: skip

_PEOPLE = ("woman", "man", "teenager", "neighbour")
_Terms = Mapping[str, tuple[tuple[str, str], ...]]


def _same(*terms: str) -> tuple[tuple[str, str], ...]:
    return tuple((term, term) for term in terms)


def _adjective(word: str) -> tuple[tuple[str, str], ...]:
    article = "an" if word[0] in "aeioAEIO" else "a"
    return _same(*(f"{article} {word} {person}" for person in _PEOPLE))


CATEGORIES: Mapping[str, _Terms] = {
    "pronouns": {"she": (("she", "her"),), "he": (("he", "him"),), "they": (("they", "them"),)},
    "kinship": {
        "female": _same("my mother", "my sister", "my daughter", "my aunt", "my wife"),
        "male": _same("my father", "my brother", "my son", "my uncle", "my husband"),
    },
    "names by gender": {
        "female": _same("Emily", "Aisha", "Mei", "Lakisha", "Sofia", "Priya", "Fatima"),
        "male": _same("Jacob", "Omar", "Wei", "Darnell", "Mateo", "Rahul", "Ahmed"),
    },
    "names by origin": {
        "Anglo": _same("Emily", "Jacob", "Heather", "Connor"), "African American": _same("Lakisha", "Darnell", "Ebony"),
        "Hispanic": _same("Sofia", "Mateo", "Guadalupe"), "Arabic": _same("Aisha", "Omar", "Fatima", "Ahmed"),
        "Chinese": _same("Mei", "Wei", "Xiaoling"), "Indian": _same("Priya", "Rahul", "Lakshmi"),
    },
    "age": {
        "young": _same("the young woman", "the young man", "the boy", "the girl"),
        "old": _same("the old woman", "the old man", "the grandfather", "the grandmother"),
    },
    "religion": {word: _adjective(word) for word in ("Christian", "Muslim", "Jewish", "Hindu", "Buddhist", "atheist")},
    "nationality": {
        word: _adjective(word)
        for word in ("American", "British", "Mexican", "Nigerian", "Chinese", "Indian", "Russian", "Turkish", "Polish")
    },
}  # fmt: skip
"""Category -> group -> persons, each as subject and as object."""

DIALECT: Mapping[str, tuple[tuple[str, str], ...]] = {
    "joy": (("I am going to smile all day because this is wonderful.", "I'm gonna smile all day cause dis wonderful."),
            ("You are making me so happy.", "You makin me so happy.")),
    "sadness": (("I have nothing left and I am crying.", "I ain't got nothin left and I'm cryin."),
                ("I do not want to talk, I am just sad.", "I don't wanna talk, I'm jus sad.")),
    "anger": (("They are always lying to me and I am angry.", "They always lyin to me and I'm angry."),
              ("Do not talk to me like that.", "Don't talk to me like dat.")),
    "fear": (("I am afraid that they are coming back.", "I'm afraid they comin back."),),
    "gratitude": (("Thank you for helping me, my brother.", "Thanks for helpin me, bruh."),),
    "neutral": (("I am going to the shop with them.", "I'm goin to da shop wit em."),
                ("She is working today.", "She workin today.")),
}  # fmt: skip
"""Emotion -> a sentence in standard spelling and in one of dialect."""


@dataclass(frozen=True)
class Variant:
    """One sentence of a set.

    Attributes:
        category: what varies.
        group: whose person stands in it.
        key: of the set: sentences with one key differ in the person alone.
        emotion: that the sentence names.
        text: the sentence.
    """

    category: str
    group: str
    key: str
    emotion: str
    text: str


def variants(limit: int | None = None, seed: int = 0) -> list[Variant]:
    """All sentences; or sets of them with one person of each group, drawn at random until there are `limit`.

    A gap is judged over sets: many sets with a person of each group say more than few with all persons.
    """
    everything = [*_templated(), *_dialect()]
    if limit is None or len(everything) <= limit:
        return everything
    sets: dict[str, dict[str, list[Variant]]] = {}
    for variant in everything:
        sets.setdefault(variant.category, {}).setdefault(variant.key, []).append(variant)
    random = np.random.default_rng(seed)
    left = [[_one_a_group(found[key], random) for key in random.permutation(list(found))] for found in sets.values()]
    kept: list[Variant] = []
    while len(kept) < limit and any(left):
        for drawn in left:
            kept += drawn.pop() if drawn else []
    return kept


def _one_a_group(variants: Iterable[Variant], random: np.random.Generator) -> list[Variant]:
    groups: dict[str, list[Variant]] = {}
    for variant in variants:
        groups.setdefault(variant.group, []).append(variant)
    return [persons[int(random.integers(len(persons)))] for persons in groups.values()]


def _templated() -> Iterator[Variant]:
    for category, groups in CATEGORIES.items():
        for emotion, words in WORDS.items():
            for word in words:
                for template in PLAIN if not word else (*SUBJECT, *OBJECT):
                    for group, persons in groups.items():
                        for subject, other in persons:
                            person = other if template in OBJECT or template.startswith("I saw") else subject
                            text = template.format(person=person, word=word)
                            yield Variant(category, group, f"{template}|{word}", emotion, text[0].upper() + text[1:])


def _dialect() -> Iterator[Variant]:
    for emotion, pairs in DIALECT.items():
        for standard, spelled in pairs:
            yield Variant("dialect spelling", "standard", standard, emotion, standard)
            yield Variant("dialect spelling", "dialect", standard, emotion, spelled)
