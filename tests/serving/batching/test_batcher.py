"""Laws of the batcher: who gets which rows, when, and who is refused."""

from __future__ import annotations

import asyncio
import random

import pytest

from serving.batching.batcher import PATIENCE, Batcher
from shared.errors import DeadlineError, NotReadyError, OverloadedError
from tests.serving.batching.fakes import FakeModel, Seen, expected, occupy, running, until, values


def test_every_request_gets_the_rows_of_its_own_texts_in_order():
    async def main():
        rng = random.Random(0)
        requests = [
            ["abcdefgh"[rng.randrange(8)] * rng.randint(1, 80) for _ in range(rng.randint(0, 9))] for _ in range(120)
        ]
        seen, model = Seen(), FakeModel()
        async with running(model, seen=seen) as batcher:
            answers = await asyncio.gather(*(batcher.submit(texts, timeout_s=10) for texts in requests))
            assert batcher.held == 0
        assert [values(rows) for rows in answers] == [[expected(text) for text in texts] for texts in requests]
        num_texts = sum(map(len, requests))
        assert seen.num_tokenised == seen.num_run == num_texts == sum(map(len, model.batches))
        assert all(len(lengths) == 1 or max(lengths) * len(lengths) <= 200 for lengths in model.batches)

    asyncio.run(main())


def test_rows_tell_length_and_truncation():
    async def main():
        async with running() as batcher:
            short, long = await batcher.submit(["abc", "d" * 60], timeout_s=5)
        assert (short.num_tokens, short.truncated) == (3, False)
        assert (long.num_tokens, long.truncated) == (60, True)

    asyncio.run(main())


def test_texts_that_wait_together_run_together_and_a_lone_one_runs_at_once():
    async def main():
        model = FakeModel()
        async with running(model, workers=1) as batcher:
            await batcher.submit(["lone"], timeout_s=5)
            assert model.batches == [[4]]
            first = await occupy(batcher, model, "first")
            rest = [asyncio.create_task(batcher.submit(["other"], timeout_s=5)) for _ in range(8)]
            await asyncio.sleep(0)
            model.gate.set()
            await asyncio.gather(first, *rest)
        assert model.batches == [[4], [5], [5] * 8]

    asyncio.run(main())


def test_a_lone_client_is_served_by_one_worker_all_the_time():
    async def main():
        model = FakeModel()
        async with running(model, workers=3) as batcher:
            for _ in range(10):
                await batcher.submit(["lone"], timeout_s=5)
                await until(lambda: len(batcher._resting) == 3)
            assert sorted(worker.asked for worker in model.workers) == [0, 0, 10]

    asyncio.run(main())


def test_a_full_queue_is_refused_with_a_time_to_come_back():
    async def main():
        model = FakeModel()
        model.hold()
        async with running(model, max_texts=5) as batcher:
            held = asyncio.create_task(batcher.submit(["a", "b", "c", "d"], timeout_s=5))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError, match=r"the queue is full \(5 texts\)") as caught:
                await batcher.submit(["e", "f"], timeout_s=5)
            assert caught.value.retry_after_s >= 1
            fits = asyncio.create_task(batcher.submit(["e"], timeout_s=5))
            await asyncio.sleep(0)
            model.gate.set()
            assert values(await held) == [expected(text) for text in "abcd"]
            assert values(await fits) == [expected("e")]
            assert batcher.held == 0

    asyncio.run(main())


def test_a_queue_longer_than_the_deadline_is_refused_at_once():
    async def main():
        model = FakeModel()
        async with running(model) as batcher:
            batcher._seconds_per_text = 1.0
            model.hold()
            held = asyncio.create_task(batcher.submit(["a"] * 3, timeout_s=5))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError, match=r"the queue is 3.0 s long, the deadline 2.0 s") as caught:
                await batcher.submit(["b"], timeout_s=2)
            assert caught.value.retry_after_s == 3
            with pytest.raises(OverloadedError, match=r"the deadline 4.0 s"):
                batcher.check_room(1, 4)  # an estimate: 3 s may become more than 4
            batcher.check_room(1, 3 / PATIENCE)
            with pytest.raises(OverloadedError, match=r"the queue is 4.0 s long"):
                batcher.check_room(1, 3 / PATIENCE, on_their_way=1)
            model.gate.set()
            await held

    asyncio.run(main())


def test_a_passed_deadline_is_answered_and_its_text_is_not_computed():
    async def main():
        model = FakeModel()
        async with running(model, workers=1) as batcher:
            running_now = await occupy(batcher, model)
            with pytest.raises(DeadlineError, match="no answer within the deadline of 20 ms"):
                await batcher.submit(["late"], timeout_s=0.02)
            assert batcher.held == 1
            model.gate.set()
            await running_now
            assert values(await batcher.submit(["next"], timeout_s=5)) == [expected("next")]
        assert "late" not in model.texts_run

    asyncio.run(main())


def test_a_cancelled_request_is_not_computed():
    async def main():
        model = FakeModel()
        async with running(model, workers=1) as batcher:
            running_now = await occupy(batcher, model)
            gone = asyncio.create_task(batcher.submit(["gone"] * 5, timeout_s=5))
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert batcher.held == 1
            model.gate.set()
            await running_now
        assert model.texts_run == ["running"]

    asyncio.run(main())


def test_closing_answers_what_is_held_and_refuses_the_rest():
    async def main():
        model = FakeModel()
        workers = [await model.start(), await model.start()]
        batcher = Batcher(workers, model.start, max_tokens=200, max_texts=1000, observer=Seen())
        model.hold()
        held = [asyncio.create_task(batcher.submit([f"text {i}"], timeout_s=5)) for i in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(NotReadyError, match="shutting down"):
            await batcher.submit(["too late"], timeout_s=5)
        assert not closing.done()
        model.gate.set()
        assert [values(await task) for task in held] == [[expected(f"text {i}")] for i in range(20)]
        await asyncio.wait_for(closing, 5)

    asyncio.run(main())


def test_no_texts_give_no_rows():
    async def main():
        async with running() as batcher:
            assert await batcher.submit([], timeout_s=5) == []

    asyncio.run(main())


def test_counts_add_up_when_requests_are_cancelled_refused_and_late_at_random():
    async def main():
        rng = random.Random(1)
        model, seen = FakeModel(), Seen()
        outcomes = {"answered": 0, "refused": 0, "late": 0, "cancelled": 0}

        async def client(number: int) -> None:
            texts = ["x" * rng.randint(1, 60) for _ in range(rng.randint(1, 5))]
            timeout_s = rng.choice([0.0005, 5])
            call = asyncio.create_task(batcher.submit(texts, timeout_s=timeout_s))
            if rng.random() < 0.2:
                await asyncio.sleep(0)
                call.cancel()
            try:
                rows = await call
                assert values(rows) == [expected(text) for text in texts]
                outcomes["answered"] += 1
            except OverloadedError:
                outcomes["refused"] += 1
            except DeadlineError:
                outcomes["late"] += 1
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1

        async with running(model, max_texts=50, seen=seen) as batcher:
            for start in range(0, 600, 30):
                await asyncio.gather(*(client(start + i) for i in range(30)))
            assert batcher.held == 0
        assert sum(outcomes.values()) == 600
        assert outcomes["answered"] > 0

    asyncio.run(main())
