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


def test_a_text_that_ends_its_worker_is_tried_once_more_alone_and_its_neighbours_are_answered():
    async def main():
        model, seen = FakeModel(), Seen()
        model.die_on = {"deadly"}
        async with running(model, workers=1, seen=seen) as batcher:
            blocker = await occupy(batcher, model)
            calls = [asyncio.create_task(batcher.submit([text], timeout_s=5)) for text in ("good", "deadly", "fine")]
            await asyncio.sleep(0)
            model.gate.set()
            await blocker
            (good,), (deadly,), (fine,) = [await call for call in calls]
        assert values([good, fine]) == [expected("good"), expected("fine")]
        assert "the model failed on this text" in str(deadly)
        assert seen.lost == ["ended", "ended"]  # once with the others, once alone

    asyncio.run(main())


def test_a_worker_that_hangs_is_replaced_and_what_it_held_is_answered_by_the_next():
    async def main():
        model, seen = FakeModel(), Seen()
        model.hang_on = {"slow"}
        async with running(model, workers=1, seen=seen) as batcher:
            assert values(await batcher.submit(["slow", "other"], timeout_s=5)) == [expected("slow"), expected("other")]
        assert seen.lost == ["hung"]
        assert model.workers[0].closed

    asyncio.run(main())


def test_an_idle_worker_that_hangs_is_found_by_the_heartbeat(monkeypatch):
    monkeypatch.setattr("serving.batching.batcher.HEARTBEAT_S", 0.01)

    async def main():
        model, seen = FakeModel(), Seen()
        async with running(model, workers=2, seen=seen) as batcher:
            await until(lambda: min(worker.pings for worker in model.workers) >= 2)
            assert (batcher.num_workers, len(model.workers)) == (2, 2)
            model.workers[0].hangs = True
            await until(lambda: len(model.workers) == 3 and batcher.num_workers == 2)
            assert values(await batcher.submit(["alive"], timeout_s=5)) == [expected("alive")]
        assert seen.lost == ["hung"]

    asyncio.run(main())


def test_an_unexpected_error_of_a_worker_ends_no_loop(caplog, monkeypatch):
    monkeypatch.setattr("serving.batching.batcher.START_AGAIN_S", 0.01)

    async def main():
        model, seen = FakeModel(), Seen()
        async with running(model, workers=1, seen=seen) as batcher:
            batcher._take_jobs = None  # type: ignore[assignment]
            call = asyncio.create_task(batcher.submit(["alive"], timeout_s=5))
            await until(lambda: seen.lost)
            del batcher._take_jobs
            assert values(await call) == [expected("alive")]
        assert set(seen.lost) == {"failed"}
        assert "a worker was lost; another one starts: unexpected error" in caplog.text

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
        assert seen.crashes == 4  # each of the two is tried twice
        assert len(model.workers) == 5

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
            assert batcher.num_workers > 0
            model.workers[1].ended.set_result(-9)
            await until(lambda: batcher.num_workers == 0)
            model.refuse_to_start = 0
            await until(lambda: batcher.num_workers > 0)

    asyncio.run(main())


def test_a_batcher_without_a_worker_answers_by_the_deadline_and_closes():
    async def main():
        model = FakeModel()
        model.die_on = {"deadly"}
        async with running(model, workers=1) as batcher:
            model.refuse_to_start = 1000
            for text in ("deadly", "nobody there"):
                with pytest.raises(DeadlineError):
                    await batcher.submit([text], timeout_s=0.05)

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


def test_a_worker_that_is_lost_while_texts_are_tokenised_one_by_one_costs_others_nothing():
    async def main():
        model, seen = FakeModel(), Seen()
        texts = ["good", "gone, tokenised to death", "untokenisable", "fine"]
        async with running(model, workers=1, seen=seen) as batcher:
            blocker = await occupy(batcher, model)
            calls = [asyncio.create_task(batcher.submit([text], timeout_s=2)) for text in texts]
            await asyncio.sleep(0)
            model.gate.set()
            await blocker
            (good,), (gone,), (bad,), (fine,) = await asyncio.gather(*calls)
            assert batcher.held == 0
        assert values([good, fine]) == [expected("good"), expected("fine")]
        assert "the model failed on this text" in str(gone)
        assert "the model failed on this text" in str(bad)
        assert seen.lost == ["ended", "ended"]
        assert seen.crashes == 4  # all of them together, the text that is lost twice, and the one that breaks

    asyncio.run(main())
