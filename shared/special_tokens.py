"""Names of special tokens that stand in a text, such as "[SEP]": they are words of it, never the tokens themselves.

The `tokenizers` library makes a special token of its name wherever it stands, and the unigram model even with
`encode_special_tokens`: a text could end a segment. A space within the name makes plain words of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

from tokenizers import Tokenizer


def special_ids(tokenizer: Tokenizer, template: Iterable[int], unknown: int | None) -> frozenset[int]:
    """Ids that no text may have: those of the template, and all that the tokenizer calls special but the unknown one.

    Args:
        tokenizer: whose tokens they are.
        template: ids around and between texts, and of padding.
        unknown: id of what the vocabulary lacks, which texts do have.
    """
    added = tokenizer.get_added_tokens_decoder()
    return frozenset({*template, *(number for number, token in added.items() if token.special)} - {unknown})


def ids_as_words(tokenizer: Tokenizer, text: str, special: Collection[int]) -> list[int]:
    """Token ids of a normalised text without special ones: their names are cut by a space; what still is one goes.

    Args:
        tokenizer: whose ids they are.
        text: holds the name of a special token.
        special: ids of those.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    places = [0]
    for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        if number in special:
            name = text[start:end]
            places.append(start + len(name) - len(name.lstrip()) + 1)
    cut = " ".join(text[start:end] for start, end in pairwise([*places, len(text)]))
    return [number for number in tokenizer.encode(cut, add_special_tokens=False).ids if number not in special]
