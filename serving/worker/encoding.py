"""Texts as tokens, with what there is to say of each before the model has read it."""

from __future__ import annotations

from collections.abc import Sequence

from serving.text_checks import TextChecks
from serving.worker.wire import Tokens
from shared.tokenizer import Encoded, TextTokenizer


def encode(tokenizer: TextTokenizer, checks: TextChecks, texts: Sequence[str], whole: Sequence[bool]) -> list[Tokens]:
    """Tokens of N texts: in windows where `whole` says that all of a text is read, else without the middle.

    Args:
        tokenizer: the bundle's own.
        checks: coverage and warnings.
        texts: N texts.
        whole: for each of them.
    """
    in_windows = iter(tokenizer.encode_whole([text for text, all_of_it in zip(texts, whole, strict=True) if all_of_it]))
    cut = iter(tokenizer.encode([text for text, all_of_it in zip(texts, whole, strict=True) if not all_of_it]))
    found = []
    for text, all_of_it in zip(texts, whole, strict=True):
        windows: list[Encoded] = next(in_windows) if all_of_it else [next(cut)]
        coverage, warnings = checks.of(text, windows[0])
        found.append(Tokens.of(*windows, coverage=coverage, warnings=warnings))
    return found
