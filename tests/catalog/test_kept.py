"""An answer that is kept is asked for once, kept for its time, and outlives the image API's absence."""

import asyncio

import pytest

from service.catalog.kept import PAUSE_S, Kept
from service.errors import UpstreamUnavailable
from tests.support.waiting import eventually_async

FRESH_S = 10.0


class Upstream:
    """Answers 1, 2, 3 …, or not, when it is let."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.asked = 0
        self.is_down = False
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.kept = Kept(self.ask, FRESH_S, lambda: self.now_s)

    async def ask(self) -> int:
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        if self.is_down:
            raise UpstreamUnavailable("It is down.", retry_after_s=7)
        return self.asked


async def test_many_callers_ask_once() -> None:
    upstream = Upstream()
    upstream.may_answer.clear()
    callers = [asyncio.create_task(upstream.kept.current()) for _ in range(5)]
    await upstream.was_asked.wait()

    upstream.may_answer.set()

    assert await asyncio.gather(*callers) == [1] * 5
    assert upstream.asked == 1


async def test_a_fresh_answer_is_not_asked_for_again() -> None:
    upstream = Upstream()
    await upstream.kept.current()
    upstream.now_s += FRESH_S - 1

    assert await upstream.kept.current() == 1


async def test_an_older_answer_is_served_and_renewed_behind_the_callers_back() -> None:
    upstream = Upstream()
    await upstream.kept.current()
    upstream.now_s += FRESH_S + 1

    assert await upstream.kept.current() == 1

    async def is_renewed() -> bool:
        return await upstream.kept.current() == 2

    await eventually_async(is_renewed, what="the next answer")


async def test_a_much_older_answer_is_waited_for() -> None:
    upstream = Upstream()
    await upstream.kept.current()
    upstream.now_s += 2 * FRESH_S + 1

    assert await upstream.kept.current() == 2


async def test_the_last_answer_serves_for_as_long_as_the_image_api_is_down() -> None:
    upstream = Upstream()
    await upstream.kept.current()
    upstream.is_down = True
    upstream.now_s += 1_000_000

    assert await upstream.kept.current() == 1


async def test_a_silent_image_api_is_not_asked_by_every_caller() -> None:
    upstream = Upstream()
    await upstream.kept.current()
    upstream.is_down = True
    upstream.now_s += 1000
    await upstream.kept.current()

    await upstream.kept.current()
    assert upstream.asked == 2

    upstream.now_s += PAUSE_S
    await upstream.kept.current()
    assert upstream.asked == 3


async def test_without_any_answer_the_failure_says_when_to_come_back() -> None:
    upstream = Upstream()
    upstream.is_down = True

    with pytest.raises(UpstreamUnavailable) as failure:
        await upstream.kept.current()

    assert failure.value.retry_after_s == 7


async def test_a_caller_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    upstream = Upstream()
    upstream.may_answer.clear()
    leaver, stayer = (asyncio.create_task(upstream.kept.current()) for _ in range(2))
    await upstream.was_asked.wait()

    leaver.cancel()
    upstream.may_answer.set()

    assert await stayer == 1


async def test_what_is_known_to_have_changed_is_served_changed() -> None:
    upstream = Upstream()
    upstream.kept.change(lambda answer: answer - 100)
    await upstream.kept.current()

    upstream.kept.change(lambda answer: answer + 41)

    assert await upstream.kept.current() == 42


async def test_a_question_in_flight_ends_with_the_process() -> None:
    upstream = Upstream()
    upstream.may_answer.clear()
    caller = asyncio.create_task(upstream.kept.current())
    await upstream.was_asked.wait()

    await upstream.kept.close()

    with pytest.raises(asyncio.CancelledError):
        await caller
