"""Laws of the batcher: who gets which rows, and when."""

from __future__ import annotations

import asyncio
import random

import pytest

from serving.batching.batcher import Batcher
from shared.errors import DeadlineError, InvalidInputError, NotReadyError, OverloadedError
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
                await until(lambda: len(batcher._idle_workers) == 3)
            assert sorted(worker.asked for worker in model.workers) == [0, 0, 10]

    asyncio.run(main())


def test_a_request_that_is_alone_runs_on_all_workers_and_one_of_several_does_not():
    async def main():
        alone, several = FakeModel(), FakeModel()
        async with running(alone, workers=2) as batcher:
            await until(lambda: len(batcher._idle_workers) == 2)
            await batcher.submit(["x" * 20] * 8, timeout_s=5)
        async with running(several, workers=2) as batcher:
            await until(lambda: len(batcher._idle_workers) == 2)
            await asyncio.gather(*(batcher.submit(["x" * 20] * 4, timeout_s=5) for _ in range(2)))
        assert (alone.batches, several.batches) == ([[20] * 4] * 2, [[20] * 8])

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
        batcher = Batcher(workers, model.start, max_tokens=200, max_held=1024, observer=Seen())
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


def test_a_long_text_that_is_read_whole_runs_in_windows_and_counts_as_many():
    async def scenario():
        model = FakeModel()
        async with running(model) as batcher:
            waiting = await occupy(batcher, model)
            asked = asyncio.create_task(batcher.submit(["a" * 90, "b"], timeout_s=5, whole=[True, False]))
            await until(lambda: batcher.held > 3)  # the one running, two texts, and two further windows
            held = batcher.held
            model.gate.set()
            rows = await asked
            await waiting
            assert batcher.held == 0
            return held, rows

    held, rows = asyncio.run(scenario())
    assert held == 5
    assert [row.num_tokens for row in rows] == [90, 1]
    assert [row.probabilities.tolist() for row in rows] == [[50, ord("a")], [1, ord("b")]]
    assert not rows[0].truncated


def test_more_windows_than_may_be_held_are_refused_and_leave_nothing():
    async def main():
        model = FakeModel()
        async with running(model, max_held=6) as batcher:
            with pytest.raises(InvalidInputError, match=r"needs 12 model runs, .*; allowed: at most 6\. Send fewer or"):
                await batcher.submit(["a" * 90] * 4, timeout_s=5, whole=[True] * 4)
            assert batcher.held == 0
            assert values(await batcher.submit(["b", "a" * 90], timeout_s=5, whole=[True] * 2)) == [[1, 98], [50, 97]]
        assert "a" * 90 not in model.texts_run
        assert len(model.texts_run) == 4

    asyncio.run(main())


def test_windows_that_find_no_room_now_are_refused_for_now():
    async def main():
        model = FakeModel()
        async with running(model, max_held=6) as batcher:
            first = await occupy(batcher, model)
            with pytest.raises(OverloadedError, match="needs 6 model runs, .*; the queue has room for 5 of 6") as error:
                await batcher.submit(["a" * 90] * 2, timeout_s=5, whole=[True] * 2)
            assert error.value.retry_after_s >= 1
            assert batcher.held == 1
            model.gate.set()
            await first
            assert len(await batcher.submit(["a" * 90] * 2, timeout_s=5, whole=[True] * 2)) == 2

    asyncio.run(main())
