"""Deadlines: as asyncio.timeout, for many at once and with one timer."""

import asyncio

import pytest

from service.subscribers.deadlines import Deadlines
from tests.support.waiting import eventually_async

SOON_S = 0.02
NEVER_S = 60.0


async def hang(deadlines: Deadlines, seconds: float) -> str:
    """What ends a wait for what never comes."""
    try:
        with deadlines.within(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return "timeout"
    return "never"


async def until_running(deadlines: Deadlines, count: int) -> None:
    async def look() -> bool:
        return deadlines.running == count

    await eventually_async(look)


async def test_who_takes_too_long_gets_a_timeout() -> None:
    assert await hang(Deadlines(), SOON_S) == "timeout"


async def test_who_ends_in_time_is_not_disturbed_afterwards() -> None:
    deadlines = Deadlines()

    with deadlines.within(SOON_S):
        pass
    assert await hang(deadlines, 2 * SOON_S) == "timeout"

    assert deadlines.running == 0
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_without_time_left_the_first_wait_is_the_last(seconds: float) -> None:
    assert await hang(Deadlines(), seconds) == "timeout"


async def test_a_thousand_of_many_lengths_all_end() -> None:
    deadlines = Deadlines()
    lengths = [SOON_S * (1 + number % 7) for number in range(1000)]

    assert set(await asyncio.gather(*(hang(deadlines, seconds) for seconds in lengths))) == {"timeout"}
    assert deadlines.running == 0


async def test_a_shorter_one_that_begins_later_ends_alone() -> None:
    deadlines = Deadlines()
    waits = [asyncio.create_task(hang(deadlines, NEVER_S)) for _ in range(10)]
    await until_running(deadlines, len(waits))

    assert await hang(deadlines, SOON_S) == "timeout"
    assert deadlines.running == len(waits)

    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert all(wait.cancelled() for wait in waits)
    assert deadlines.running == 0


async def test_somebody_elses_cancellation_stays_one() -> None:
    deadlines = Deadlines()
    waiting = asyncio.create_task(hang(deadlines, NEVER_S))
    await until_running(deadlines, 1)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_inner_of_two_ends_alone() -> None:
    deadlines = Deadlines()

    with deadlines.within(NEVER_S):
        assert await hang(deadlines, SOON_S) == "timeout"
        assert deadlines.running == 1
    assert deadlines.running == 0


async def test_the_outer_of_two_ends_both() -> None:
    deadlines = Deadlines()

    with pytest.raises(TimeoutError), deadlines.within(SOON_S):
        await hang(deadlines, NEVER_S)

    assert deadlines.running == 0


async def test_an_error_inside_is_passed_on_as_it_is() -> None:
    deadlines = Deadlines()

    with pytest.raises(LookupError), deadlines.within(NEVER_S):
        raise LookupError

    assert deadlines.running == 0
