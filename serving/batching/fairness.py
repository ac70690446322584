"""When the texts of a request are due: a large request leaves room for those that come while it runs (fair queueing).

Texts run in the order in which they are due. A request's first text is due when it arrives, the others one after the
other, as if they came at half of the speed that the service has. Nobody waits for a text that is due later, so a
request of many texts leaves the other half to those that come meanwhile; where nobody does, it has all of the speed.
Several such requests leave less: k of them are due at k halves of the speed together, and from three on a small request
waits up to k - 2 times what one of them takes alone (in the order of arrival it would be k times). What has become due
goes before whatever comes later, so that no text waits for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

FAIR_SHARE = 0.5
"""Share of the service's speed at which the texts of one request become due."""

MAX_SPREAD_FRACTION = 0.5
"""Share of its deadline after which a request's last text is due, where the service can do it in that time."""

KEPT = 0.9
"""Share of a moving average that a new run leaves as it was."""


@dataclass(slots=True)
class Pace:
    """What the workers take together: a guess, then moving averages from the first run.

    Attributes:
        seconds_per_token: in s.
        tokens_per_text: by which texts count that are not tokenised yet.
        guessed: whether nothing has run.
    """

    seconds_per_token: float = 0.0
    tokens_per_text: float = 0.0
    guessed: bool = True

    @classmethod
    def guess(cls, seconds: float, num_tokens: int, tokens_per_text: float, num_workers: int) -> Pace:
        """From the `seconds` that one of `num_workers` took for a text of `num_tokens`."""
        return cls(seconds / num_tokens / num_workers, tokens_per_text)

    @property
    def seconds_per_text(self) -> float:
        """Of a text not tokenised yet, in s."""
        return self.seconds_per_token * self.tokens_per_text

    def ran(self, lengths: Sequence[int], seconds: float, num_workers: int) -> None:
        """One of `num_workers` ran texts of these `lengths` in tokens, in `seconds`."""
        kept, num_tokens = 0.0 if self.guessed else KEPT, sum(lengths)
        self.seconds_per_token = kept * self.seconds_per_token + (1 - kept) * seconds / num_tokens / num_workers
        self.tokens_per_text = kept * self.tokens_per_text + (1 - kept) * num_tokens / len(lengths)
        self.guessed = False

    def last_due_s(self, num_texts: int, timeout_s: float) -> float:
        """Time until the last text of a request of `num_texts` is due, in s; 0 for a single one.

        Half of the deadline at most: its texts may be shorter than others are.
        """
        last_s = spread_s(num_texts * self.seconds_per_text, timeout_s) * (num_texts - 1) / num_texts
        return min(last_s, MAX_SPREAD_FRACTION * timeout_s)


def spread_s(work_s: float, timeout_s: float) -> float:
    """Time over which the texts of a request are due, in s: at `FAIR_SHARE` of the speed, or faster for its deadline.

    Args:
        work_s: what all of them take.
        timeout_s: the request's deadline.
    """
    return max(work_s, min(work_s / FAIR_SHARE, MAX_SPREAD_FRACTION * timeout_s))


def due_times(lengths: Sequence[int], arrived: float, spread: float) -> list[float]:
    """When each text of a request is due: spread out from its arrival by the tokens before it, rising.

    Args:
        lengths: tokens of each text, all at least 1.
        arrived: the time at which the request came, in s.
        spread: see `spread_s`.
    """
    before = accumulate(lengths[:-1], initial=0)
    total = sum(lengths)
    return [arrived + spread * tokens / total for tokens in before]
