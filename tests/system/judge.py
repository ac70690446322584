"""Whether what came back was right: the status, the error schema, the id, and no word of the text; and the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.system.sockets import MARKER, Answer, Attack, Outcome

ERROR_NAMES: Mapping[int, str] = {
    400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 422: "invalid_input",
    429: "overloaded", 431: "too_large", 504: "deadline_exceeded",
}  # fmt: skip
"""The errors a service may answer with that is alive, ready and asked for no key; docs/deploy.md has them all."""

BUSY = frozenset({429, 504})
"""Fair answers to anything while there is much to do; they are counted."""

LEAST_TELLING = 8
"""Shorter strings of a schema fuzzer occur in a log by chance."""

Expected = Mapping[str, Mapping[str, float]]
"""Control text -> label -> probability, from before the attack."""


@dataclass
class Judge:
    """Judges every answer of a run and keeps count.

    Attributes:
        statuses: answers by kind of attack and status; "none" where no answer came and none was due.
        findings: what was wrong, in words.
        farthest: largest difference of a control request's probability from the expected one.
    """

    expected: Expected
    tolerance: float
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    farthest: float = 0.0

    @property
    def sent(self) -> int:
        return sum(counts.total() for counts in self.statuses.values())

    def judge(self, attack: Attack, outcome: Outcome) -> None:
        """Take one outcome in."""
        self.findings += [f"{attack.kind}: {problem}" for problem in self._problems(attack, outcome)]
        seen = "+".join(str(answer.status) for answer in outcome.answers) or "none"
        self.statuses.setdefault(attack.kind, Counter())[seen] += 1

    def _problems(self, attack: Attack, outcome: Outcome) -> list[str]:
        missing = len(attack.allowed) - len(outcome.answers)
        found = [f"{missing} answers missing ({outcome.trouble or 'connection closed'})"]
        found = found if missing and not attack.optional else []
        for answer, allowed in zip(outcome.answers, attack.allowed, strict=False):
            if answer.status not in allowed | BUSY:
                found.append(f"status {answer.status}, right would be {sorted(allowed)}")
            places = {"body": answer.body.decode("utf-8", "replace"), "headers": str(answer.headers)}
            found += [f"the {place} of a {answer.status} repeats the text"
                      for place, text in places.items() if MARKER in text]  # fmt: skip
            if not attack.plain:
                found += schema_problems(answer)
            if answer.status == 200 and attack.results is not None:
                found += self._result_problems(attack, answer)
        return found

    def _result_problems(self, attack: Attack, answer: Answer) -> list[str]:
        results = (answer.json() or {}).get("results")
        if not isinstance(results, list) or len(results) != attack.results:
            return [f"not {attack.results} results"]
        wrong = tuple(place for place, result in enumerate(results) if result.get("error"))
        if wrong != attack.errors_at:
            return [f"errors at {wrong}, right would be {attack.errors_at}"]
        if any(result["error"].get("error") != "invalid_input" for result in results if result.get("error")):
            return ["an unusable text has another error than invalid_input"]
        return [] if attack.control is None else self._compare(self.expected[attack.control], results[0])

    def _compare(self, expected: Mapping[str, float], result: Mapping[str, Any]) -> list[str]:
        got = result.get("probabilities") or {}
        if set(got) != set(expected):
            return ["a control request's answer lacks labels"]
        difference = max(abs(got[label] - expected[label]) for label in expected)
        self.farthest = max(self.farthest, difference)
        return [f"a control request's answer is {difference:.2g} off"] if difference > self.tolerance else []


def schema_problems(answer: Answer) -> list[str]:
    """What an answer of the application lacks: a request id, and for an error the error schema."""
    found = [] if answer.headers.get("x-request-id") else ["no X-Request-Id"]
    if answer.status < 400:
        return found
    content = answer.json()
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


def log_problems(log: str, texts: Iterable[str] = ()) -> list[str]:
    """Lines of a log that hold a text, a traceback or an error; `texts` are what was sent without the marker."""
    # a text may be in the log as it is, or as JSON escapes it
    telling = {form for text in texts if len(text) >= LEAST_TELLING for form in (text, json.dumps(text)[1:-1])}
    needles = (MARKER, "Traceback", *(text for text in telling if text in log))
    return [line for line in log.splitlines() if any(needle in line for needle in needles) or _is_error(line)]


def _is_error(line: str) -> bool:
    """Whether a line is of level error or worse, or carries an exception; ours are JSON, others say it in a word."""
    content: Any = None
    if line.startswith("{"):
        try:
            content = json.loads(line)
        except ValueError:
            return True  # a line of ours that a text has broken
    if not isinstance(content, dict):
        return "ERROR" in line or "CRITICAL" in line
    return content.get("level") in ("error", "critical") or "exception" in content
