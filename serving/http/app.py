"""The HTTP routes: predict, the model, metrics, documents and the page."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import Coroutine, Generator, Sequence
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from serving.admission import CLASSIFY, PREDICT, ROOT
from serving.batching.jobs import Row
from serving.engine import ActiveModel
from serving.http.bodies import read_body
from serving.http.compat import ScoresRequest, parse_scores_request, render_scores
from serving.http.intensities import about_intensities, check_intensity_request, refuse_scores
from serving.http.middleware import ERROR_RENDERED, forbid_redirects
from serving.http.openapi import DOCS_PAGE, DOCS_SCRIPT, document
from serving.http.reading import Pieces, Reading, Rows, read
from serving.http.responses import describe_model, error_response, rules_for
from serving.http.schemas import PredictRequest, check_text, parse_json, parse_request
from serving.state import ServiceState
from shared.bundle import Bundle
from shared.context import Context, num_characters
from shared.errors import DeadlineError, InvalidInputError, RequestError
from shared.profiles import for_language

WATCH_AFTER_S = 0.05
"""A request that takes longer is worth a look at whether its client is still there."""

LONG_CHARACTERS = 20_000
"""Requests whose texts have more, altogether, are split beside the event loop, so that others do not wait for it."""

MIN_COMPRESSED_BYTES = 8192
"""Shorter answers are sent as they are: on a fast network compressing costs more than it saves."""

PAGE = Path(__file__).parents[1] / "page"
_PAGE_FILES = {"/": "index.html", **{f"/page/{file.name}": file.name for file in PAGE.iterdir()}}
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(DOCS_SCRIPT.encode()).digest()).decode()
DOCS_HEADERS = {
    **_PAGE_HEADERS,
    # Swagger UI sets styles of elements from its script, and shows pictures that it carries as data
    "content-security-policy": f"default-src 'none'; script-src 'self' 'sha256-{_SCRIPT_HASH}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


def build_routes(state: ServiceState) -> Starlette:
    """The application that BentoML mounts; `state` is filled when the service starts.

    A plain route answers in half the time of a `bentoml.api` (0.65 against 1.3 ms at the median for a handler that does
    nothing, BentoML 1.4.39), and BentoML logs a traceback with an excerpt of the text for every request it refuses.
    """

    async def predict(request: Request) -> Response:
        return await _predict(state, request, own_form=True)

    async def scores(request: Request) -> Response:
        return await _predict(state, request, own_form=False)

    async def model(_request: Request) -> Response:
        return _json(describe_model(state.engine.require(), state.settings))

    async def metrics(_request: Request) -> Response:
        state.engine.measure()
        return Response(state.metrics.render(), media_type=state.metrics.content_type)

    async def docs_json(_request: Request) -> Response:
        active = state.engine.active
        return _json(document(state.settings, active.bundle if active else None))

    async def docs(_request: Request) -> Response:
        return Response(DOCS_PAGE, media_type="text/html", headers=DOCS_HEADERS)

    routes = [
        Route(PREDICT, predict, methods=["POST"]),
        Route(CLASSIFY, scores, methods=["POST"]),
        Route(ROOT, scores, methods=["POST"]),
        Route("/model", model, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/docs.json", docs_json, methods=["GET"]),
        Route("/docs", docs, methods=["GET"]),
        *(Route(path, _page(name), methods=["GET"]) for path, name in _PAGE_FILES.items()),
    ]
    application = Starlette(routes=routes, exception_handlers={RequestError: _refuse})
    forbid_redirects(application)
    return application


async def _predict(state: ServiceState, request: Request, *, own_form: bool) -> Response:
    """Answer a request in this service's own form where `own_form` allows it, or in one of `serving.http.compat`."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    limit_s = state.admission.timeout_s(request.headers)
    try:
        async with asyncio.timeout(limit_s):
            body = await read_body(request, state.settings.max_body_bytes)
    except TimeoutError:
        raise DeadlineError(f"the body did not arrive within the deadline of {limit_s * 1000:.0f} ms.") from None
    except ClientDisconnect:
        return _gone()
    value = parse_json(body)
    left_s = max(0.0, limit_s - (loop.time() - started))
    active, max_texts = state.engine.require(), state.settings.max_texts
    work: Coroutine[Any, Any, Any]
    if own_form and not (isinstance(value, dict) and "inputs" in value):
        work = _answer(state, active, parse_request(value, max_texts=max_texts), left_s)
    else:
        refuse_scores(active.bundle)
        activation = active.bundle.calibration.activation
        work = _scores(state, active, parse_scores_request(value, max_texts=max_texts, activation=activation), left_s)
    with active.users:
        answer = await _while_connected(request, work)
    return _gone() if answer is None else _json(answer, request)


async def _answer(
    state: ServiceState, active: ActiveModel, request: PredictRequest, timeout_s: float
) -> dict[str, Any]:
    """The answer to a request, a `PredictResponse`.

    Raises:
        RequestError: when the request as a whole cannot be answered.
    """
    profile = request.profile or for_language(active.bundle.profiles, request.language)
    bundle = active.bundle.with_profile(profile)
    decided_by = {"profile": profile, **_decided_by(request, bundle)}
    most = state.settings.max_characters
    checked = [_checked(value, most, turns) for value, turns in zip(request.candidates, request.contexts, strict=True)]
    if request.single and isinstance(checked[0], RequestError):
        raise checked[0]
    reading = read(checked, request, bundle, served=active.bundle, most_pieces=state.settings.queue_texts)
    is_long = sum(num_characters(text) for text in checked if isinstance(text, str)) > LONG_CHARACTERS
    readings = await _readings(state, active, reading, timeout_s, is_long=is_long)
    if request.single and readings[0].error is not None:
        raise readings[0].error
    for each in readings:
        if each.row is not None and each.decided is not None:
            if request.segments is None:  # read in one piece, as the reference rows were
                active.drift.add(each.row)
            state.metrics.answered(each.row, each.decided, bundle.manifest.labels)
        elif each.error is not None:
            state.metrics.refused_text(each.error)
    results = [each.result for each in readings]
    return {"results": results, **decided_by, "model": bundle.seal}


def _decided_by(request: PredictRequest, bundle: Bundle) -> dict[str, Any]:
    """What an answer says beside its results of how they came about.

    Raises:
        InvalidInputError: when the request does not fit the bundle.
    """
    if bundle.readout is not None:
        check_intensity_request(request)
        return about_intensities(bundle.readout)
    rules = rules_for(request, bundle)
    return {"policy": rules.policy, "taxonomy": rules.taxonomy.name}


async def _readings(
    state: ServiceState,
    active: ActiveModel,
    reading: Generator[Pieces, Rows, list[Reading]],
    timeout_s: float,
    *,
    is_long: bool,
) -> list[Reading]:
    """What `reading` comes to, with its pieces run by the batcher; where it `is_long`, its steps run in a thread.

    Raises:
        RequestError: when the request as a whole cannot be answered.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    rows: Rows | None = None
    while True:
        step = await asyncio.to_thread(_step, reading, rows) if is_long else _step(reading, rows)
        if not isinstance(step, Pieces):
            return step
        rows = await _rows(state, active, step.texts, max(0.0, end - loop.time()), whole=step.whole)


def _step(reading: Generator[Pieces, Rows, list[Reading]], rows: Rows | None) -> Pieces | list[Reading]:
    """The pieces wanted next, or what the reading comes to; a StopIteration could not leave a thread."""
    try:
        return next(reading) if rows is None else reading.send(rows)
    except StopIteration as done:
        found: list[Reading] = done.value
        return found


async def _scores(state: ServiceState, active: ActiveModel, request: ScoresRequest, timeout_s: float) -> Any:
    """The scores of every label, in the form of another server, which has no place for the error of a single text.

    Raises:
        RequestError: when one of the texts cannot be answered.
    """
    for place, text in enumerate(request.texts):
        problem = _checked(text, state.settings.max_characters)
        if isinstance(problem, RequestError):
            raise InvalidInputError(f"{request.field}[{place}]: {problem}")
    rows: list[Row] = []
    for row in await _rows(state, active, request.texts, timeout_s):
        if isinstance(row, RequestError):
            raise row
        rows.append(row)
        decided = active.bundle.policies.decide(row.probabilities)
        active.drift.add(row)
        state.metrics.answered(row, decided, active.bundle.manifest.labels)
    return render_scores(request, rows, active.bundle)


async def _rows(
    state: ServiceState, active: ActiveModel, texts: Sequence[str], timeout_s: float, *, whole: bool = False
) -> list[Row | RequestError]:
    """Rows of the texts, once there is room for them in the queue."""
    if texts:
        state.admission.check_room(len(texts), timeout_s)
    return await active.batcher.submit(texts, timeout_s=timeout_s, whole=[whole] * len(texts))


def _checked(value: Any, max_characters: int, context: Context = ()) -> str | RequestError:
    try:
        return check_text(value, max_characters=max_characters, context=context)
    except RequestError as error:
        return error.with_traceback(None)  # whose frames would hold the error


async def _while_connected(request: Request, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any] | None:
    """The result of `work`; cancelled, and None, when the client goes away before."""
    task = asyncio.ensure_future(work)
    watch: asyncio.Future[None] | None = None
    try:
        await asyncio.wait({task}, timeout=WATCH_AFTER_S)
        if not task.done():
            watch = asyncio.ensure_future(_disconnected(request))
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        if watch is not None:
            watch.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gone() -> Response:
    """The answer nobody reads any more; 499 as in nginx' logs."""
    return Response(status_code=499, headers={ERROR_RENDERED: "1"})


def _refuse(_request: Request, error: Exception) -> Response:
    status, body, extra = error_response(cast("RequestError", error.with_traceback(None)))  # as in `_checked`
    return Response(body, status, headers={**extra, ERROR_RENDERED: "1"}, media_type="application/json")


def _json(content: Any, request: Request | None = None) -> Response:
    """A response; compressed where it is long and the client takes gzip."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    accepted = request.headers.get("accept-encoding", "") if request is not None else ""
    if len(body) < MIN_COMPRESSED_BYTES or "gzip" not in accepted:
        return Response(body, media_type="application/json")
    headers = {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(gzip.compress(body, compresslevel=1), media_type="application/json", headers=headers)


def _page(name: str) -> Any:
    async def page(_request: Request) -> Response:
        return FileResponse(PAGE / name, headers=_PAGE_HEADERS)

    return page
