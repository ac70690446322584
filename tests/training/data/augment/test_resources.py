"""The word lists keep what augmentation promises: replacing or adding words changes no feeling."""

from __future__ import annotations

import re

import pytest

from shared.labels import GOEMOTIONS
from training.data.augment.check import rejection_reason
from training.data.augment.resources import read_resources


def test_a_synonym_tells_the_same_emotions_as_its_word():
    resources = read_resources()
    assert len(resources.synonyms) > 150
    for word, others in resources.synonyms.items():
        assert others, word
        assert word not in others
        for other in others:
            assert resources.cues.get(word) == resources.cues.get(other), (word, other)


def test_cues_cover_the_labels_that_have_an_emotion():
    told = frozenset().union(*read_resources().cues.values())
    assert told == set(GOEMOTIONS) - {"neutral"}


def test_contexts_tell_no_emotion():
    resources = read_resources()
    contexts = [*resources.openers, *resources.closers]
    assert len(contexts) == len(set(contexts)) > 30
    for context in contexts:
        assert rejection_reason("We met", f"We met {context}") is None, context


@pytest.mark.parametrize("template", read_resources().templates, ids=lambda t: t.pattern.pattern[:30])
def test_templates_compile_to_phrases_without_loose_ends(template):
    assert template.replacement == template.replacement.strip()
    groups = {int(number) for number in re.findall(r"\\(\d)", template.replacement)}
    assert groups <= set(range(1, template.pattern.groups + 1))
