"""Whether what came back was right: the status, the one form of errors, the id, and no word of the text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.attacks.attack import CANARY, Attack
from benchmarks.attacks.sender import Answer, Outcome

ERROR_NAMES: Mapping[int, str] = {
    400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 422: "invalid_input",
    429: "overloaded", 431: "too_large", 504: "deadline_exceeded",
}  # fmt: skip
"""The errors a service may answer with that is alive, ready and asked for no key; docs/deploy.md has them all."""

BUSY = frozenset({429, 504})
"""Fair answers to anything while there is much to do; they are counted, so a report shows them."""

MOST_KEPT = 20
"""Findings that are kept in words; more are only counted."""


@dataclass
class Judge:
    """Judges every answer of a run and keeps count.

    Args:
        truth: the probabilities of each innocent text, from before the attack.
        tolerance: how far an innocent's probability may be from the truth.

    Attributes:
        statuses: answers by kind of attack and status; "none" where no answer came and none was due.
        findings: what was wrong, in words, the first few.
        wrong: how many answers were wrong.
        farthest: largest difference of an innocent's probability from the truth.
    """

    truth: Mapping[str, Mapping[str, float]]
    tolerance: float
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    wrong: int = 0
    farthest: float = 0.0

    @property
    def sent(self) -> int:
        """Attacks judged."""
        return sum(counts.total() for counts in self.statuses.values())

    def judge(self, attack: Attack, outcome: Outcome) -> None:
        """Take one outcome in."""
        for problem in self._problems(attack, outcome):
            self.wrong += 1
            if len(self.findings) < MOST_KEPT:
                self.findings.append(f"{attack.kind}: {problem}")
        seen = "+".join(str(answer.status) for answer in outcome.answers) or "none"
        self.statuses.setdefault(attack.kind, Counter())[seen] += 1

    def _problems(self, attack: Attack, outcome: Outcome) -> list[str]:
        missing = len(attack.allowed) - len(outcome.answers)
        found = [f"{missing} answers missing ({outcome.trouble or 'connection closed'})"]
        found = found if missing and not attack.optional else []
        for answer, allowed in zip(outcome.answers, attack.allowed, strict=False):
            if answer.status not in allowed | BUSY:
                found.append(f"status {answer.status}, right would be {sorted(allowed)}")
            found += _leaks(answer)
            if not attack.plain:
                found += form_problems(answer)
            if answer.status == 200 and attack.results is not None:
                found += self._result_problems(attack, answer)
        return found

    def _result_problems(self, attack: Attack, answer: Answer) -> list[str]:
        content = _object(answer)
        results = content.get("results") if content else None
        if not isinstance(results, list) or len(results) != attack.results:
            return [f"not {attack.results} results"]
        wrong = tuple(place for place, result in enumerate(results) if result.get("error"))
        if wrong != attack.errors_at:
            return [f"errors at {wrong}, right would be {attack.errors_at}"]
        if any(result["error"].get("error") != "invalid_input" for result in results if result.get("error")):
            return ["an unusable text has another error than invalid_input"]
        return [] if attack.innocent is None else self._compare(attack.innocent, results[0])

    def _compare(self, text: str, result: Mapping[str, Any]) -> list[str]:
        truth = self.truth[text]
        got = result.get("probabilities") or {}
        if set(got) != set(truth):
            return ["an innocent's answer lacks labels"]
        difference = max(abs(got[label] - truth[label]) for label in truth)
        self.farthest = max(self.farthest, difference)
        return [f"an innocent's answer is {difference:.2g} off"] if difference > self.tolerance else []


def form_problems(answer: Answer) -> list[str]:
    """What an answer of the application lacks: a request id, and for an error the one form."""
    found = [] if answer.headers.get("x-request-id") else ["no X-Request-Id"]
    if answer.status < 400:
        return found
    content = _object(answer)
    if answer.headers.get("content-type") != "application/json" or content is None:
        return [*found, f"a {answer.status} that is not JSON"]
    if set(content) != {"error", "error_type", "detail"} or not all(isinstance(x, str) for x in content.values()):
        return [*found, f"a {answer.status} with the fields {sorted(content)}"]
    if content["error"] != ERROR_NAMES.get(answer.status):
        found.append(f"a {answer.status} named {content['error']!r}")
    if answer.status == 429 and not answer.headers.get("retry-after", "").isdigit():
        found.append("a 429 without Retry-After")
    if answer.status == 405 and not answer.headers.get("allow"):
        found.append("a 405 without Allow")
    return found


def _leaks(answer: Answer) -> list[str]:
    places = {"body": answer.body.decode("utf-8", "replace"), "headers": str(answer.headers)}
    return [f"the {place} of a {answer.status} repeats the text" for place, text in places.items() if CANARY in text]


def _object(answer: Answer) -> dict[str, Any] | None:
    try:
        content = json.loads(answer.body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
