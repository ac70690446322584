"""A typed client of the service, and its asynchronous twin: retries, long lists in batches, errors as exceptions."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from emotion_classifiers.prediction import Prediction
from emotion_classifiers.texts import listed, plain
from shared.context import contexts_for, turns_to_json
from shared.errors import InvalidInputError, RequestError, ServiceResponseError, ServiceUnreachableError
from shared.segments import Segmentation

DEFAULT_URL = "http://localhost:3000"

RETRIED = frozenset({429, 502, 503})
"""Statuses of a service, or of a proxy before it, that may answer a moment later."""

FIRST_WAIT_S = 0.5
"""Mean wait before the second try where the service names none; it doubles from try to try."""

MAX_WAIT_S = 30.0
"""Longest wait before a try, whatever the service asks for."""

GRACE_S = 1.0
"""The client waits this much longer than the deadline that it sends to the service, for the answer to arrive."""


class _Requests:
    """What both clients share: how a request is made, when it is sent again, and what an answer means."""

    def __init__(self, api_key: str | None, timeout_s: float, attempts: int, batch_size: int) -> None:
        if attempts < 1 or batch_size < 1:
            raise InvalidInputError(f"attempts is {attempts} and batch_size {batch_size}; both must be 1 or more.")
        self.headers = {"X-Request-Timeout-Ms": str(round(timeout_s * 1000)), "Content-Type": "application/json"}
        if api_key is not None:
            self.headers["X-API-Key"] = api_key
        self.attempts = attempts
        self.batch_size = batch_size

    def bodies(
        self, texts: Iterable[str], options: Mapping[str, Any], context: Sequence[Any] | None = None
    ) -> Iterator[bytes]:
        """The body of each request; what is no text is sent as null, so that it gets an error of its own there."""
        every = [text if isinstance(text, str) else None for text in listed(texts)]
        given = {name: value for name, value in options.items() if value is not None}
        try:
            contexts = [turns_to_json(turns) for turns in contexts_for(context, len(every))]
        except ValueError as error:
            raise InvalidInputError(f"{error}.") from None
        for start in range(0, len(every), self.batch_size):
            rows = slice(start, start + self.batch_size)
            before = {"context": contexts[rows]} if any(contexts[rows]) else {}
            yield _encoded({"texts": every[rows], **given, **before})

    def wait_s(self, attempt: int, response: httpx.Response | None) -> float | None:
        """Seconds until the next try; None when there is none.

        The wait is spread at random, so that callers who were refused together do not come back together (Brooker
        2015, "Exponential Backoff And Jitter").
        """
        if attempt + 1 >= self.attempts or (response is not None and response.status_code not in RETRIED):
            return None
        asked = None if response is None else retry_after_s(response.headers.get("Retry-After"))
        if asked is not None:
            return min(MAX_WAIT_S, asked * random.uniform(1, 1.25))
        return min(MAX_WAIT_S, random.uniform(0, 2 * FIRST_WAIT_S * 2**attempt))


def _encoded(body: Mapping[str, Any]) -> bytes:
    """JSON in ASCII, in which half a surrogate pair has a form, too."""
    try:
        return json.dumps(body, allow_nan=False, default=plain).encode("ascii")
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"an option cannot be sent: {error}.") from None


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a `Retry-After` header, in seconds or as a date (RFC 9110, 10.2.3); None when it says none."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def content_of(response: httpx.Response) -> Any:
    """The JSON value of an answer.

    Raises:
        RequestError: the service's own error, of the class that it raised.
        ServiceResponseError: for an answer that is none of the service's, such as a proxy's page.
    """
    try:
        content = json.loads(response.content)
    except ValueError:
        content = None
    if response.is_success and content is not None:
        return content
    if isinstance(content, dict) and {"error", "detail"} <= content.keys():
        raise _error(response, content)
    kind = response.headers.get("Content-Type", "an unknown type").partition(";")[0]
    raise ServiceResponseError(
        f"{response.request.url} answered {response.status_code} {response.reason_phrase} with {kind}, not with the "
        "JSON of the service.",
        status=response.status_code,
        hint="Check the address, and whatever proxy stands before the service.",
    )


def _error(response: httpx.Response, content: Mapping[str, Any]) -> RequestError:
    message = str(content["detail"])
    for kind in RequestError.__subclasses__():
        if kind.status == response.status_code and kind.error == content["error"]:
            return kind(message)
    return ServiceResponseError(f"{content['error']}: {message}", status=response.status_code)


def _unreachable(url: httpx.URL, error: httpx.TransportError, attempts: int) -> ServiceUnreachableError:
    reason = " ".join(str(error).split()) or type(error).__name__
    tries = "once" if attempts == 1 else f"{attempts} times"
    return ServiceUnreachableError(
        f"no answer from {url}, tried {tries}: {reason}.", hint="Start the service with: emotion serve"
    )


class Client:
    """Asks a service; a context manager that keeps its connections open.

    Args:
        url: where the service listens.
        api_key: sent as `X-API-Key` where the service asks for one.
        timeout_s: deadline of each request, in seconds; the service knows it, so that it does not work for nobody.
        attempts: tries at a service that is overloaded, not ready or not reachable.
        batch_size: most texts of one request; longer lists are sent in several.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        attempts: int = 5,
        batch_size: int = 64,
    ) -> None:
        self._requests = _Requests(api_key, timeout_s, attempts, batch_size)
        self._http = httpx.Client(base_url=url, headers=self._requests.headers, timeout=timeout_s + GRACE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        texts: Iterable[str],
        *,
        profile: str | None = None,
        language: str | None = None,
        policy: str | None = None,
        thresholds: Mapping[str, float] | None = None,
        taxonomy: str | None = None,
        top_k: int | None = None,
        probabilities: bool | None = None,
        segments: Segmentation | None = None,
        long_texts: str | None = None,
        explain: bool | None = None,
        context: Sequence[Any] | None = None,
    ) -> list[Prediction]:
        """One prediction a text, in their order; a text that cannot be read has an `error` of its own.

        Args:
            texts: N texts.
            profile: name of a profile of the bundle; its default when None.
            language: of the texts, as "en" or "pt-BR", in place of `profile`: its thresholds, where there are some.
            policy: name of a decision policy; the bundle's default when None.
            thresholds: label -> threshold in 0..1, in place of the policy's.
            taxonomy: goemotions, ekman or sentiment; the finest one when None.
            top_k: list the k most probable labels in place of the decided ones.
            probabilities: ask for the probability of every label.
            segments: "sentence" or "paragraph" reads each by itself and puts the answer for the text together; or the
                offsets `(start, end)` of pieces of a single text.
            long_texts: "windows" or "head_tail", for what is longer than the model reads.
            explain: ask for the words that speak for and against each decided label.
            context: the turns before each text, the oldest first: a list of texts, or of `{"text", "speaker"}`; for
                several texts a list of such lists, None or [] for a text without.

        Raises:
            RequestError: when the service refuses the request as a whole; the class says why.
            ServiceUnreachableError: when it does not answer.
            ServiceResponseError: when something else than the service answers.
        """
        options = {"profile": profile, "language": language, "policy": policy, "thresholds": thresholds,
                   "taxonomy": taxonomy, "top_k": top_k, "probabilities": probabilities, "segments": segments,
                   "long_texts": long_texts, "explain": explain}  # fmt: skip
        answers = [self._ask("POST", "/predict", body) for body in self._requests.bodies(texts, options, context)]
        return _predictions(answers)

    def model(self) -> dict[str, Any]:
        """What the service serves: labels, policies, metrics, verification, limits; raises as `predict`."""
        return dict(self._ask("GET", "/model", None))

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        for attempt in range(self._requests.attempts):
            try:
                response = self._http.request(method, path, content=body)
            except httpx.TransportError as error:
                if (wait := self._requests.wait_s(attempt, None)) is None:
                    raise _unreachable(self._http.base_url, error, attempt + 1) from error
            else:
                if (wait := self._requests.wait_s(attempt, response)) is None:
                    return content_of(response)
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")


class AsyncClient:
    """The same for `async` code: `async with AsyncClient(url) as client: await client.predict(texts)`.

    Args:
        url: where the service listens.
        api_key: sent as `X-API-Key` where the service asks for one.
        timeout_s: deadline of each request, in seconds.
        attempts: tries at a service that is overloaded, not ready or not reachable.
        batch_size: most texts of one request; longer lists are sent in several.
        concurrency: most requests of one `predict` at the same time.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        attempts: int = 5,
        batch_size: int = 64,
        concurrency: int = 4,
    ) -> None:
        self._requests = _Requests(api_key, timeout_s, attempts, batch_size)
        self._slots = asyncio.Semaphore(concurrency)
        self._http = httpx.AsyncClient(base_url=url, headers=self._requests.headers, timeout=timeout_s + GRACE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self,
        texts: Iterable[str],
        *,
        profile: str | None = None,
        language: str | None = None,
        policy: str | None = None,
        thresholds: Mapping[str, float] | None = None,
        taxonomy: str | None = None,
        top_k: int | None = None,
        probabilities: bool | None = None,
        segments: Segmentation | None = None,
        long_texts: str | None = None,
        explain: bool | None = None,
        context: Sequence[Any] | None = None,
    ) -> list[Prediction]:
        """As `Client.predict`; the batches of a long list are asked at the same time."""
        options = {"profile": profile, "language": language, "policy": policy, "thresholds": thresholds,
                   "taxonomy": taxonomy, "top_k": top_k, "probabilities": probabilities, "segments": segments,
                   "long_texts": long_texts, "explain": explain}  # fmt: skip
        asked = [self._ask("POST", "/predict", body) for body in self._requests.bodies(texts, options, context)]
        return _predictions(await asyncio.gather(*asked))

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return dict(await self._ask("GET", "/model", None))

    async def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        for attempt in range(self._requests.attempts):
            try:
                async with self._slots:
                    response = await self._http.request(method, path, content=body)
            except httpx.TransportError as error:
                if (wait := self._requests.wait_s(attempt, None)) is None:
                    raise _unreachable(self._http.base_url, error, attempt + 1) from error
            else:
                if (wait := self._requests.wait_s(attempt, response)) is None:
                    return content_of(response)
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")


def _predictions(answers: Sequence[Mapping[str, Any]]) -> list[Prediction]:
    return [Prediction.from_result(result) for answer in answers for result in answer["results"]]
