"""Who is sent away at the door, with what answer, and that the connection goes on after it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
import uvicorn
from uvicorn.server import ServerState

from serving.engine.keys import ApiKeys
from serving.engine.settings import Settings
from serving.engine.state import ServiceState
from serving.server.door import Door
from serving.server.protocol import BoundedProtocol
from serving.telemetry.metrics import Metrics
from shared.errors import NotReadyError, OverloadedError

HEADERS = [(b"host", b"x"), (b"x-request-id", b"abc-1"), (b"content-length", b"2")]


class Queue:
    """A batcher as far as the door sees it: refuses with `error` when it has one."""

    def __init__(self, held: int = 1, error: Exception | None = None, room: int = 8) -> None:
        self.held, self.error, self.room, self.asked = held, error, room, []

    def check_room(self, num_texts: int, timeout_s: float, *, on_their_way: int = 0) -> None:
        self.asked.append(timeout_s)
        if self.error is not None:
            raise self.error
        if self.held + on_their_way >= self.room:
            raise FULL


FULL = OverloadedError("the queue is full (8 texts).", retry_after_s=3)


def state_with(queue: Queue, keys: tuple[str, ...] = ()) -> ServiceState:
    state = ServiceState()
    state.settings, state.keys, state.metrics = Settings(deadline_ms=5000), ApiKeys(keys), Metrics()
    live = SimpleNamespace(batcher=queue)
    state.engine = SimpleNamespace(live=live, draining=False, ready=True, require=lambda: live)  # type: ignore[assignment]
    return state


def refused(queue: Queue, headers=HEADERS, method=b"POST", url=b"/predict", keys=()) -> bytes | None:
    async def main() -> bytes | None:
        return Door(state_with(queue, keys)).refusal(method, url, headers)

    return asyncio.run(main())


def test_a_full_queue_is_told_at_the_door_in_the_one_form():
    head, _, body = refused(Queue(error=FULL)).partition(b"\r\n\r\n")
    assert set(head.split(b"\r\n")) == {
        b"content-type: application/json", b"content-length: %d" % len(body), b"x-request-id: abc-1", b"retry-after: 3",
    }  # fmt: skip
    assert json.loads(body) == {
        "error": "overloaded", "error_type": "OverloadedError", "detail": "the queue is full (8 texts).",
    }  # fmt: skip


def test_it_is_counted_like_every_other_answer():
    state = state_with(Queue(error=FULL))
    Door(state).refusal(b"POST", b"/predict", HEADERS)
    assert b'emotion_requests_total{route="/predict",status="429"} 1.0' in state.metrics.render()


@pytest.mark.parametrize(
    "changes",
    [
        {"method": b"GET"},
        {"url": b"/model"},
        {"url": b"/predict?a=1"},
        {"headers": [(b"x-request-timeout-ms", b"soon")]},  # 422
        {"keys": ("secret",)},  # 401
    ],
)
def test_whatever_needs_another_answer_is_left_to_the_gate(changes):
    assert refused(Queue(error=FULL), **changes) is None


def test_who_finds_room_or_a_closing_service_goes_on_to_the_gate():
    assert refused(Queue()) is None
    assert refused(Queue(error=NotReadyError("the service is shutting down."))) is None
    assert Door(ServiceState()).refusal(b"POST", b"/predict", HEADERS) is None
    draining = state_with(Queue(error=FULL))
    draining.engine.ready = False  # type: ignore[misc]
    assert Door(draining).refusal(b"POST", b"/predict", HEADERS) is None


def test_a_turn_of_the_event_loop_lets_in_no_more_than_there_is_room_for():
    async def scenario() -> list[int]:
        door = Door(state_with(Queue(held=5, room=8)))

        def let_in() -> int:
            return [door.refusal(b"POST", b"/predict", HEADERS) for _ in range(10)].count(None)

        first = let_in()
        await asyncio.sleep(0)  # the batcher would know of them from here on
        return [first, let_in()]

    assert asyncio.run(scenario()) == [3, 3]


def test_a_known_key_is_no_way_around_the_queue_and_its_own_deadline_counts():
    queue = Queue(error=FULL)
    assert refused(queue, [(b"x-api-key", b"secret"), (b"x-request-timeout-ms", b"250")], keys=("secret",)) is not None
    assert queue.asked == [0.25]


async def echo(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_connection_goes_on_after_a_refusal_whose_body_is_thrown_away():
    async def scenario() -> bytes:
        queue = Queue(error=FULL)
        config = uvicorn.Config(echo, log_config=None, http="httptools")
        config.load()
        state, door = ServerState(), Door(state_with(queue))
        server = await asyncio.get_running_loop().create_server(
            lambda: BoundedProtocol(config, state, {}, door=door), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc")
        said = await asyncio.wait_for(reader.readuntil(b'(8 texts)."}'), 5)
        queue.error = None
        writer.write(b"defPOST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi")
        said += await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        writer.close()
        server.close()
        return said

    said = asyncio.run(scenario())
    assert said.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert said.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 200 OK\r\n" in said
