from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching.micro_batches import FREE_PADDING_TOKENS, MAX_PADDING, WaitingTexts


@dataclass(eq=False)
class Text:
    length: int
    due: float = 0.0
    wanted: bool = True


def waiting(*lengths: int, max_tokens: int = 512) -> tuple[WaitingTexts[Text], list[Text]]:
    texts = [Text(length) for length in lengths]
    queue: WaitingTexts[Text] = WaitingTexts(max_tokens)
    for text in texts:
        queue.add(text)
    return queue, texts


def test_nothing_waiting_gives_an_empty_batch():
    queue, _ = waiting()
    assert queue.take() == []


def test_the_text_due_first_is_in_the_next_batch_with_its_neighbours_in_length():
    queue, texts = waiting(10, 400, 11, 9, 390)
    first = queue.take()
    assert texts[0] in first
    assert sorted(text.length for text in first) == [9, 10, 11]
    assert [text.length for text in queue.take()] == [400]  # 2 x 400 tokens would be over the budget


def test_what_comes_later_and_is_due_before_runs_before():
    queue: WaitingTexts[Text] = WaitingTexts(512)
    large, small = [Text(300, due=due) for due in (0.0, 1.0, 2.0)], Text(10, due=0.5)
    for text in (*large, small):
        queue.add(text)
    assert [queue.take() for _ in range(4)] == [[large[0]], [small], [large[1]], [large[2]]]


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own():
    queue, texts = waiting(600, 5, max_tokens=512)
    assert queue.take() == [texts[0]]
    assert queue.take() == [texts[1]]


def test_short_texts_do_not_pay_for_a_long_one():
    queue, _ = waiting(200, *[5] * 10)
    assert [text.length for text in queue.take()] == [200]
    assert len(queue.take()) == 10


def test_what_waits_is_shared_out_where_that_is_worth_a_run_each():
    queue, _ = waiting(*[20] * 9, max_tokens=256)
    assert [len(queue.take(shares)) for shares in (2, 2, 1)] == [4, 3, 2]  # 90 of 180 tokens, 64 of 100, the rest
    queue, _ = waiting(*[20] * 40, max_tokens=256)
    assert len(queue.take(2)) == 12


def test_unwanted_texts_are_not_handed_out():
    queue, texts = waiting(5, 6, 7)
    texts[0].wanted = texts[2].wanted = False
    assert queue.take() == [texts[1]]
    assert queue.take() == []
    assert len(queue) == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 600), max_size=60), st.integers(16, 1024), st.data())
def test_every_text_is_handed_out_once_in_batches_within_the_budget(lengths, max_tokens, data):
    texts = [Text(length, data.draw(st.sampled_from([0.0, 0.5, 1.0])), data.draw(st.booleans())) for length in lengths]
    queue: WaitingTexts[Text] = WaitingTexts(max_tokens)
    for text in texts:
        queue.add(text)
    left, seen = list(texts), []
    while batch := queue.take():
        assert min((text for text in left if text.wanted), key=lambda text: text.due) in batch
        padded = max(text.length for text in batch) * len(batch)
        assert len(batch) == 1 or padded <= max_tokens
        seen += batch
        left = [text for text in left if text not in batch]
    assert sorted(map(id, seen)) == sorted(id(text) for text in texts if text.wanted)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_padding_stays_within_its_share(lengths):
    queue, _ = waiting(*lengths, max_tokens=4096)
    while batch := queue.take():
        padded = max(text.length for text in batch) * len(batch)
        padding = padded - sum(text.length for text in batch)
        assert padding <= max(FREE_PADDING_TOKENS, MAX_PADDING * padded)
