"""Texts that break the model, and workers that are lost: what it costs, and whom."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import DeadlineError, NotReadyError
from tests.serving.batching.fakes import FakeModel, Seen, expected, occupy, running, until, values


def test_a_text_that_breaks_the_model_costs_its_neighbours_nothing():
    async def main():
        model, seen = FakeModel(), Seen()
        model.fail_on = {"bad"}
        async with running(model, workers=1, seen=seen) as batcher:
            blocker = await occupy(batcher, model)
            calls = [asyncio.create_task(batcher.submit(texts, timeout_s=5)) for texts in (["good"], ["bad", "fine"])]
            await asyncio.sleep(0)
            model.gate.set()
            await blocker
            (good,), (bad, fine) = [await call for call in calls]
        assert values([good, fine]) == [expected("good"), expected("fine")]
        assert isinstance(bad, NotReadyError)
        assert "the model failed on this text" in str(bad)
        assert seen.crashes == 2  # the batch, then the text alone

    asyncio.run(main())


def test_a_lost_worker_costs_what_it_held_and_is_replaced():
    async def main():
        model, seen = FakeModel(), Seen()
        model.die_on = {"deadly"}
        async with running(model, workers=1, seen=seen) as batcher:
            (row,) = await batcher.submit(["deadly"], timeout_s=5)
            assert isinstance(row, NotReadyError)
            assert values(await batcher.submit(["alive"], timeout_s=5)) == [expected("alive")]
            (row,) = await batcher.submit(["tokenised to death"], timeout_s=5)
            assert isinstance(row, NotReadyError)
            assert values(await batcher.submit(["alive"], timeout_s=5)) == [expected("alive")]
        assert seen.crashes == 2
        assert len(model.workers) == 3

    asyncio.run(main())


def test_a_worker_that_is_lost_at_rest_is_replaced_before_anybody_asks_it():
    async def main():
        model, seen = FakeModel(), Seen()
        async with running(model, workers=2, seen=seen) as batcher:
            await until(lambda: len(batcher._idle_workers) == 2)
            model.workers[0].ended.set_result(-9)
            await until(lambda: len(model.workers) == 3 and len(batcher._idle_workers) == 2)
            assert model.workers[0] not in batcher._idle_workers
            assert values(await batcher.submit(["alive"], timeout_s=5)) == [expected("alive")]
        assert seen.crashes == 1

    asyncio.run(main())


def test_a_worker_that_cannot_be_replaced_at_once_is_tried_again(monkeypatch):
    monkeypatch.setattr("serving.batching.batcher.START_AGAIN_S", 0.01)

    async def main():
        model = FakeModel()
        model.die_on = {"deadly"}
        async with running(model, workers=1) as batcher:
            model.refuse_to_start = 3
            await batcher.submit(["deadly"], timeout_s=5)
            assert values(await batcher.submit(["alive"], timeout_s=5)) == [expected("alive")]
        assert model.refuse_to_start == 0

    asyncio.run(main())


def test_says_when_every_worker_is_being_replaced(monkeypatch):
    monkeypatch.setattr("serving.batching.batcher.START_AGAIN_S", 0.01)

    async def main():
        model = FakeModel()
        async with running(model, workers=2) as batcher:
            await until(lambda: len(batcher._idle_workers) == 2)
            model.refuse_to_start = 10**6
            model.workers[0].ended.set_result(-9)
            await until(lambda: len(batcher._idle_workers) == 1)
            assert batcher.has_workers
            model.workers[1].ended.set_result(-9)
            await until(lambda: not batcher.has_workers)
            model.refuse_to_start = 0
            await until(lambda: batcher.has_workers)

    asyncio.run(main())


def test_a_batcher_without_a_worker_answers_by_the_deadline_and_closes():
    async def main():
        model = FakeModel()
        model.die_on = {"deadly"}
        async with running(model, workers=1) as batcher:
            model.refuse_to_start = 1000
            await batcher.submit(["deadly"], timeout_s=5)
            with pytest.raises(DeadlineError):
                await batcher.submit(["nobody there"], timeout_s=0.02)

    asyncio.run(main())


def test_a_text_that_breaks_the_tokenizer_costs_its_neighbours_nothing():
    async def main():
        model = FakeModel()
        async with running(model, workers=1) as batcher:
            blocker = await occupy(batcher, model)
            calls = [asyncio.create_task(batcher.submit([text], timeout_s=5)) for text in ("good", "untokenisable")]
            await asyncio.sleep(0)
            model.gate.set()
            await blocker
            (good,), (bad,) = [await call for call in calls]
        assert values([good]) == [expected("good")]
        assert isinstance(bad, NotReadyError)

    asyncio.run(main())
