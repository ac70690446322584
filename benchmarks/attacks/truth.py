"""What good requests are answered when nobody disturbs: the truth their answers under attack are held against."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from benchmarks.attacks.mix import innocent
from benchmarks.attacks.sender import Outcome, send
from shared.errors import NotReadyError

Truth = Mapping[str, Mapping[str, float]]
"""Text -> label -> probability."""


def truth_of(address: tuple[str, int], texts: Sequence[str]) -> Truth:
    """The probabilities of each text, asked alone, one after the other.

    Raises:
        NotReadyError: when one is not answered well.
    """
    return asyncio.run(_ask(address, texts))


async def _ask(address: tuple[str, int], texts: Sequence[str]) -> Truth:
    found = {}
    for text in texts:
        outcome = await send(innocent(text), *address)
        found[text] = _probabilities(outcome)
    return found


def _probabilities(outcome: Outcome) -> Mapping[str, float]:
    statuses = [answer.status for answer in outcome.answers]
    if statuses != [200]:
        raise NotReadyError(f"a good request, sent alone, is answered with {statuses or outcome.trouble}.")
    probabilities: Mapping[str, float] = json.loads(outcome.answers[0].body)["results"][0]["probabilities"]
    return probabilities
