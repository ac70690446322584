"""A large request leaves room for small ones and is never starved; numbers worked out by hand."""

from __future__ import annotations

import asyncio

import pytest

from serving.batching.fairness import Pace, due_times, spread_s
from serving.batching.jobs import Job, items_of
from serving.worker.wire import Tokens
from tests.serving.batching.fakes import FakeModel, occupy, running, until


class Steady(Pace):
    """What it was told at first."""

    def ran(self, lengths, seconds, num_workers):
        pass


def test_texts_are_due_at_half_the_speed_or_by_half_the_deadline_but_never_faster_than_they_run():
    assert [spread_s(work_s, 10.0) for work_s in (2.0, 4.0, 7.0, 12.0)] == [4.0, 5.0, 7.0, 12.0]
    assert Pace(0.1, tokens_per_text=10.0).last_due_s(1, 10.0) == 0
    assert Pace(0.1, tokens_per_text=10.0).last_due_s(2, 10.0) == 2.0  # of two texts, 4 s apart at half the speed
    assert Pace(0.1, tokens_per_text=10.0).last_due_s(12, 10.0) == 5.0
    assert due_times([10, 30, 40], 100.0, 4.0) == [100.0, 100.5, 102.0]  # 0, 10 and 40 of 80 tokens are before
    assert due_times([5], 100.0, 4.0) == [100.0]


def test_the_pace_is_of_all_workers_together_guessed_at_first_and_follows_a_change_by_a_tenth():
    pace = Pace.guess(0.8, 200, 10.0, 2)
    assert (pace.seconds_per_token, pace.seconds_per_text) == pytest.approx((0.002, 0.02))
    pace.ran([10, 30], 0.4, 2)
    assert (pace.seconds_per_token, pace.tokens_per_text) == pytest.approx((0.005, 20))
    pace.ran([10, 10], 0.8, 2)
    assert (pace.seconds_per_token, pace.tokens_per_text) == pytest.approx((0.9 * 0.005 + 0.002, 0.9 * 20 + 1))


def test_small_requests_run_between_the_texts_of_a_large_one_which_is_not_starved():
    async def main():
        model = FakeModel()
        async with running(model, workers=1, max_tokens=10) as batcher:
            batcher.pace = Steady(0.005, tokens_per_text=10.0)
            first = await occupy(batcher, model)
            large = asyncio.create_task(batcher.submit(["a" * 10] * 4, timeout_s=5))  # due 0, 0.1, 0.2, 0.3 s later
            await until(lambda: batcher.held == 5)
            early = [asyncio.create_task(batcher.submit([letter * 10], timeout_s=5)) for letter in "bc"]
            await asyncio.sleep(0.4)
            late = asyncio.create_task(batcher.submit(["d" * 10], timeout_s=5))
            await until(lambda: batcher.held == 8)
            model.gate.set()
            await asyncio.gather(first, large, *early, late)
        return "".join(text[0] for text in model.texts_run[1:])

    assert asyncio.run(main()) == "abcaaad"


def test_short_texts_of_a_request_are_due_first_so_that_a_batch_of_similar_ones_takes_none_due_much_later():
    async def main():
        job = Job("abc", [False] * 3, asyncio.get_running_loop().create_future(), 100.0, timeout_s=60.0)
        texts = [Tokens(bytes(4 * length), length, False) for length in (30, 10, 20)]
        return [(item.position, item.due) for item in items_of(job, texts, Pace(0.1))]

    # 60 tokens take 6 s, and are due within 12: before the second text are 10 of them, before the third 30
    assert asyncio.run(main()) == [(1, 100.0), (2, 102.0), (0, 106.0)]


def test_what_is_waited_for_is_the_time_of_the_tokens_that_are_due_before():
    async def main():
        model = FakeModel()
        async with running(model, workers=1) as batcher:
            batcher.pace = Steady(0.1, tokens_per_text=10.0)
            first = await occupy(batcher, model, "x" * 5)  # 0.5 s
            large = asyncio.create_task(batcher.submit(["a" * 10] * 4, timeout_s=60))  # 4 s, due within 8
            await until(lambda: batcher.held == 5)
            waits = [batcher.wait_s(seconds) for seconds in (0, 4, 8, 60)]
            model.gate.set()
            await asyncio.gather(first, large)
            return [*waits, batcher.wait_s(0), batcher.wait_s(0, num_others=2)]

    assert asyncio.run(main()) == pytest.approx([0.5, 2.5, 4.5, 4.5, 0, 2], abs=0.05)


def test_a_text_that_is_answered_makes_room_before_its_request_is():
    async def main():
        model = FakeModel()
        async with running(model, workers=1, max_tokens=10) as batcher:
            large = asyncio.create_task(batcher.submit(["a" * 10] * 4, timeout_s=5))
            held = set()
            while not large.done():
                held.add(batcher.held)
                await asyncio.sleep(0)
            assert batcher.held == 0
        return held

    assert asyncio.run(main()) >= {4, 3, 2, 1}
