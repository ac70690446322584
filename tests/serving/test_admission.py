"""Who is taken on, who is rejected and with which error; first by the head alone, then as a task, then by its texts."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest

from serving.admission import MAX_QUEUE_WAIT_FRACTION, AdmissionControl
from serving.api_keys import ApiKeys
from serving.batching.fairness import Pace
from serving.settings import Settings
from shared.errors import DeadlineError, InvalidInputError, NotReadyError, OverloadedError, UnauthorizedError
from tests.serving.batching.fakes import FakeModel, expected, running, values

HEADERS = [(b"host", b"x"), (b"content-length", b"2")]


def admission(batcher=None, *, ready: bool = True, keys: tuple[str, ...] = (), **settings: object) -> AdmissionControl:
    """Admission to a queue of eight texts at most, unless `settings` say otherwise."""

    def require():
        if batcher is None:
            raise NotReadyError("the service is starting.")
        return SimpleNamespace(batcher=batcher)

    engine = SimpleNamespace(ready=ready, require=require)
    limits = Settings.model_construct(
        **{"queue_texts": 8, "max_concurrency": 4, "deadline_ms": 5000, "cors_origins": "", **settings}
    )
    return AdmissionControl(limits, ApiKeys(keys), engine)  # type: ignore[arg-type]


def queue(held: int = 0, seconds_per_text: float = 0.0, *, closed: bool = False) -> SimpleNamespace:
    def wait_s(_within_s: float, num_others: int = 0) -> float:
        return (held + num_others) * seconds_per_text

    return SimpleNamespace(held=held, wait_s=wait_s, pace=Pace(seconds_per_text, 1.0), closed=closed)


FULL = queue(held=8)


def rejected_early(control: AdmissionControl, headers=HEADERS, method=b"POST", url=b"/predict"):
    async def main():
        return control.reject_early(method, url, headers)

    return asyncio.run(main())


def test_a_full_queue_rejects_by_the_head_alone_with_a_time_to_come_back():
    error = rejected_early(admission(queue(held=8, seconds_per_text=0.3)))
    assert isinstance(error, OverloadedError)
    assert str(error) == "the queue is full (8 texts)."
    assert error.retry_after_s == 3  # 8 x 0.3 s, rounded up


@pytest.mark.parametrize(
    ("changes", "control"),
    [
        ({"method": b"GET"}, admission(FULL)),
        ({"url": b"/model"}, admission(FULL)),
        ({"url": b"/predict?a=1"}, admission(FULL)),
        ({"headers": [(b"x-request-timeout-ms", b"soon")]}, admission(FULL)),  # 422
        ({}, admission(FULL, keys=("secret",))),  # 401
        ({}, admission(FULL, ready=False)),
        ({}, admission(queue(closed=True))),  # 503
        ({}, admission(queue(held=7))),
    ],
)
def test_whatever_needs_another_answer_or_finds_room_passes_on(changes, control):
    assert rejected_early(control, **changes) is None


def test_a_turn_of_the_event_loop_admits_no_more_than_there_is_room_for():
    async def scenario() -> list[int]:
        control = admission(queue(held=5))

        def admitted() -> int:
            return [control.reject_early(b"POST", b"/predict", HEADERS) for _ in range(10)].count(None)

        first = admitted()
        assert control.admitted_this_tick == 3
        await asyncio.sleep(0)  # the queue would know of them from here on
        assert control.admitted_this_tick == 0
        return [first, admitted()]

    assert asyncio.run(scenario()) == [3, 3]


def test_a_known_key_is_no_way_around_the_queue_and_its_own_deadline_counts():
    long_queue = admission(queue(held=5, seconds_per_text=0.1), keys=("secret",))  # 0.5 s of 5 s, or of 1 s
    with_key = [(b"x-api-key", b"secret")]
    assert rejected_early(long_queue, with_key) is None
    error = rejected_early(long_queue, [*with_key, (b"x-request-timeout-ms", b"1000")])
    assert str(error) == "the queue is 0.5 s long, the deadline 1.0 s."


def test_a_task_is_asked_for_its_key_where_the_route_is_protected():
    control = admission(queue(), keys=("secret",))
    control.admit("/livez", "GET", {})
    control.admit("/model", "GET", {"x-api-key": "secret"})
    for path in ("/model", "/predict"):
        with pytest.raises(UnauthorizedError, match="an API key is needed"):
            control.admit(path, "GET", {})


def test_the_number_in_flight_is_limited():
    control = admission(queue(), max_concurrency=2)
    control.in_flight = 2
    control.admit("/predict", "POST", {})
    control.in_flight = 3
    with pytest.raises(OverloadedError, match="2 requests are in flight already"):
        control.admit("/predict", "POST", {})
    control.admit("/model", "GET", {})


def test_nobody_is_admitted_without_a_bundle_or_while_shutting_down():
    with pytest.raises(NotReadyError, match="the service is starting"):
        admission(None).admit("/predict", "POST", {})
    with pytest.raises(NotReadyError, match="shutting down. Send the request to another replica"):
        admission(queue(closed=True)).admit("/predict", "POST", {})


@pytest.mark.parametrize(("given", "seconds"), [(None, 5), ("250", 0.25), ("5000", 5), ("999999999", 5)])
def test_the_time_limit_is_the_clients_up_to_that_of_the_settings(given, seconds):
    headers = {} if given is None else {"x-request-timeout-ms": given}
    assert admission(queue()).timeout_s(headers) == seconds


@pytest.mark.parametrize("given", ["", "0", "-1", "1.5", "soon", "1000000000", "\u0661"])
def test_a_time_limit_that_is_none_is_refused(given):
    with pytest.raises(InvalidInputError, match="must be a whole number of milliseconds, 1 to 5000"):
        admission(queue()).timeout_s({"x-request-timeout-ms": given})


def test_a_full_queue_takes_what_still_fits():
    async def main():
        model = FakeModel()
        model.hold()
        async with running(model) as batcher:
            control = admission(batcher, queue_texts=5)
            held = asyncio.create_task(batcher.submit(["a", "b", "c", "d"], timeout_s=5))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError, match=r"the queue is full \(5 texts\)") as caught:
                control.check_room(2, 5)
            assert caught.value.retry_after_s >= 1
            control.check_room(1, 5)
            model.gate.set()
            assert values(await held) == [expected(text) for text in "abcd"]
            control.check_room(5, 5)

    asyncio.run(main())


def test_a_queue_longer_than_the_deadline_is_rejected_at_once():
    control = admission(queue(held=3, seconds_per_text=1.0))
    with pytest.raises(OverloadedError, match=r"the queue is 3.0 s long, the deadline 2.0 s") as caught:
        control.check_room(1, 2)
    assert caught.value.retry_after_s == 3
    with pytest.raises(OverloadedError, match=r"the deadline 4.0 s"):
        control.check_room(1, 4)  # an estimate: 3 s may become more than 4
    control.check_room(1, 3 / MAX_QUEUE_WAIT_FRACTION)
    with pytest.raises(OverloadedError, match=r"the queue is 4.0 s long"):
        control.check_room(1, 3 / MAX_QUEUE_WAIT_FRACTION, ahead=1)


def test_a_request_of_several_texts_may_wait_for_a_share_of_what_its_own_leave():
    control = admission(queue(held=2, seconds_per_text=1.0))  # it takes 4 s; its last text is due after 3/4 of 8 s
    control.check_room(4, 13)  # it may wait 0.4 x (13 - 3/4 x 6.5) = 3.3 s
    with pytest.raises(OverloadedError, match=r"the queue is 2.0 s long, the deadline 7.0 s"):
        control.check_room(4, 7)  # 0.4 x (7 - 3/4 x 4) = 1.6 s
    control.check_room(1, 5)


def test_counts_add_up_when_requests_are_cancelled_rejected_and_late_at_random():
    async def main():
        rng = random.Random(1)
        outcomes = {"answered": 0, "rejected": 0, "late": 0, "cancelled": 0}

        async def ask(texts: list[str], timeout_s: float) -> list:
            control.check_room(len(texts), timeout_s)
            assert batcher.held + len(texts) <= 50
            return await batcher.submit(texts, timeout_s=timeout_s)

        async def client() -> None:
            texts = ["x" * rng.randint(1, 60) for _ in range(rng.randint(1, 5))]
            call = asyncio.create_task(ask(texts, rng.choice([0.0005, 5])))
            if rng.random() < 0.2:
                await asyncio.sleep(0)
                call.cancel()
            try:
                rows = await call
                assert values(rows) == [expected(text) for text in texts]
                outcomes["answered"] += 1
            except OverloadedError:
                outcomes["rejected"] += 1
            except DeadlineError:
                outcomes["late"] += 1
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1

        async with running() as batcher:
            control = admission(batcher, queue_texts=50)
            for _ in range(20):
                await asyncio.gather(*(client() for _ in range(30)))
            assert batcher.held == 0
        assert sum(outcomes.values()) == 600
        assert outcomes["answered"] > 0
        assert outcomes["rejected"] > 0

    asyncio.run(main())


def test_a_browser_gets_its_rejection_from_the_middleware_which_adds_what_it_needs():
    from_a_page = [*HEADERS, (b"origin", b"https://journal.example")]
    assert rejected_early(admission(FULL, cors_origins="https://journal.example"), from_a_page) is None
    assert rejected_early(admission(FULL, cors_origins=""), from_a_page) is not None


@pytest.mark.parametrize("path", ["/", "/predict", "/classify"])
def test_every_way_to_predict_is_limited_and_protected(path):
    assert rejected_early(admission(FULL), url=path.encode()) is not None
    with pytest.raises(OverloadedError, match="the queue is full"):
        admission(FULL).admit(path, "POST", {})
    with pytest.raises(UnauthorizedError):
        admission(queue(), keys=("secret",)).admit(path, "POST", {})
