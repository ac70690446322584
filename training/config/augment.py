"""What a user can say about augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jsonargparse.typing import PositiveFloat, PositiveInt

Method = Literal["synonyms", "expansion", "paraphrase"]


@dataclass(frozen=True)
class AugmentConfig:
    """Further training texts for rare labels; dev and test are never touched."""

    methods: list[Method] = field(default_factory=list)
    """Ways to make them: "synonyms" replaces words, "expansion" adds a neutral sentence, "paraphrase" says phrases
    another way; none when left out. English texts only."""
    below: PositiveInt = 500
    """Labels with fewer training rows than this are rare."""
    copies: PositiveInt = 1
    """Texts to make from each row with a rare label; fewer where no further one can be made."""
    synonym_share: PositiveFloat = 0.3
    """Synonyms: share of the replaceable words of a text that are replaced; at least one."""
