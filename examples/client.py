"""A typed client of the emotion service: python examples/client.py "I passed the exam!" [--url http://localhost:3000]."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

DEFAULT_URL = "http://localhost:3000"
RETRIED = frozenset({429, 503})
"""Statuses of a service that asks to be tried again."""


@dataclass(frozen=True)
class Emotion:
    """One label; `decided` where its probability reaches its threshold."""

    label: str
    probability: float
    threshold: float
    decided: bool


@dataclass(frozen=True)
class Reading:
    """The emotions of one text, the most probable first; `error` says why a text has none."""

    emotions: tuple[Emotion, ...] = ()
    truncated: bool = False
    num_tokens: int = 0
    error: str | None = None


class EmotionServiceError(Exception):
    """The service refused a request; `status` is the HTTP status, `error` the short name."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        super().__init__(f"{status} {error}: {detail}")
        self.status = status
        self.error = error


class EmotionClient:
    """Asks the service; a context manager that keeps its connection open.

    Args:
        url: where the service listens.
        api_key: sent as `X-API-Key` where the service asks for one.
        timeout_s: deadline of a request; the service is told, so that it does not work for nobody.
        attempts: tries at a service that is overloaded or not ready, waiting as long as it asks for in between.
    """

    def __init__(
        self,
        url: str = "http://localhost:3000",
        *,
        api_key: str | None = None,
        timeout_s: float = 10,
        attempts: int = 5,
    ) -> None:
        headers = {"X-Request-Timeout-Ms": str(round(timeout_s * 1000)), **({"X-API-Key": api_key} if api_key else {})}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout_s + 1)
        self._attempts = attempts

    def __enter__(self) -> EmotionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def read(
        self,
        texts: Sequence[str],
        *,
        policy: str | None = None,
        thresholds: Mapping[str, float] | None = None,
        top_k: int | None = None,
        taxonomy: str | None = None,
    ) -> list[Reading]:
        """A reading of every text, in their order.

        Raises:
            EmotionServiceError: when the request as a whole was refused.
        """
        options = {"policy": policy, "thresholds": thresholds, "top_k": top_k, "taxonomy": taxonomy}
        body = {"texts": list(texts), **{name: value for name, value in options.items() if value is not None}}
        return [_reading(result) for result in self._post("/predict", body)["results"]]

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        for left in reversed(range(self._attempts)):
            answer = self._client.post(path, json=body)
            if answer.status_code not in RETRIED or not left:
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        content: dict[str, Any] = answer.json()
        if answer.is_error:
            raise EmotionServiceError(answer.status_code, content["error"], content["detail"])
        return content


def _reading(result: Mapping[str, Any]) -> Reading:
    if "error" in result:
        return Reading(error=result["error"]["detail"])
    return Reading(tuple(Emotion(**entry) for entry in result["labels"]), result["truncated"], result["num_tokens"])


def main() -> None:
    """Read the texts of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--url", default=DEFAULT_URL)
    parser.add_argument("--api_key")
    options = parser.parse_args()
    with EmotionClient(options.url, api_key=options.api_key) as client:
        for text, reading in zip(options.texts, client.read(options.texts), strict=True):
            found = ", ".join(f"{emotion.label} {emotion.probability:.0%}" for emotion in reading.emotions)
            sys.stdout.write(f"{text}\n  {reading.error or found or 'no label reaches its threshold'}\n")


if __name__ == "__main__":
    main()
