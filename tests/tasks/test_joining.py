"""Which request joins an earlier task: one whose first request was never answered, and no other."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.tasks.attach import UnansweredRequest
from tests.support.database import Database
from tests.support.waiting import eventually_async
from tests.tasks.unanswered import WINDOW_S, Processes, ask, processes_on

PROCESS_IS_DEAD = "UPDATE unanswered_requests SET waiter_until = now() - interval '1 second'"
ROWS = "SELECT count(*) FROM unanswered_requests"


@pytest.fixture
async def processes(quiet_database: Database) -> AsyncIterator[Processes]:
    async with processes_on(quiet_database) as processes:
        yield processes


async def joined(request: UnansweredRequest, *, may_be_retry: bool = False) -> object:
    return await request.join(WINDOW_S, may_be_retry=may_be_retry)


async def test_a_request_whose_client_left_is_joined_by_the_next(processes: Processes) -> None:
    here = processes.start()
    first = ask(here)
    task_id = await processes.make_task(first)

    await first.release()

    assert await joined(ask(here)) == task_id


async def test_a_client_that_left_before_the_commit_is_known_to_have_left(processes: Processes) -> None:
    here = processes.start()
    first = ask(here)
    await first.release()

    task_id = await processes.make_task(first)

    assert await joined(ask(here)) == task_id


async def test_a_request_that_is_still_waited_for_is_a_second_wish(processes: Processes) -> None:
    here = processes.start()
    await processes.make_task(ask(here))

    assert await joined(ask(here), may_be_retry=True) is None


async def test_an_answered_request_is_never_joined(processes: Processes, quiet_database: Database) -> None:
    here, there = processes.start(), processes.start()
    first = ask(here)
    await processes.make_task(first)
    first.answered()

    at_once = await joined(ask(here), may_be_retry=True)
    await here.turn()

    assert at_once is None
    assert await joined(ask(there), may_be_retry=True) is None
    assert quiet_database.value(ROWS) == 0


async def test_a_dead_processs_request_is_joined_at_another(processes: Processes, quiet_database: Database) -> None:
    task_id = await processes.make_task(ask(processes.start()))

    quiet_database.execute(PROCESS_IS_DEAD)

    assert await joined(ask(processes.start())) == task_id


async def test_a_possible_retry_waits_until_another_process_lets_go(processes: Processes) -> None:
    first = ask(processes.start())
    task_id = await processes.make_task(first)
    retry = asyncio.create_task(joined(ask(processes.start()), may_be_retry=True))
    done, _ = await asyncio.wait({retry}, timeout=0.5)

    await first.release()

    assert done == set()
    assert await retry == task_id


async def test_a_possible_retry_makes_a_task_of_its_own_once_the_first_is_answered(processes: Processes) -> None:
    there = processes.start()
    first = ask(there)
    await processes.make_task(first)
    retry = asyncio.create_task(joined(ask(processes.start()), may_be_retry=True))
    await asyncio.wait({retry}, timeout=0.3)

    first.answered()
    await there.turn()

    assert await retry is None


async def test_a_possible_retry_does_not_wait_for_a_process_that_shows_it_lives(
    processes: Processes, quiet_database: Database
) -> None:
    await processes.make_task(ask(processes.start()))
    retry = asyncio.create_task(joined(ask(processes.start()), may_be_retry=True))
    await asyncio.wait({retry}, timeout=0.3)

    quiet_database.execute("UPDATE unanswered_requests SET waiter_until = now() + interval '15 seconds'")

    async with asyncio.timeout(1):
        assert await retry is None


async def test_what_cannot_be_a_retry_does_not_wait(processes: Processes) -> None:
    await processes.make_task(ask(processes.start()))

    async with asyncio.timeout(0.5):
        assert await joined(ask(processes.start())) is None


async def test_of_two_processes_that_race_for_a_task_one_joins(processes: Processes, quiet_database: Database) -> None:
    task_id = await processes.make_task(ask(processes.start()))
    quiet_database.execute(PROCESS_IS_DEAD)
    racing = [ask(processes.start()) for _ in range(8)]

    found = await asyncio.gather(*(joined(request) for request in racing))

    assert sorted(map(str, found)) == sorted([str(task_id), *["None"] * 7])


async def test_who_joined_and_was_not_answered_either_is_joined(processes: Processes) -> None:
    here = processes.start()
    first, second, third = ask(here), ask(here), ask(here)
    task_id = await processes.make_task(first)
    await first.release()
    await joined(second)

    await second.release()

    assert await joined(third) == task_id


async def test_the_oldest_of_several_is_joined_first(processes: Processes) -> None:
    here = processes.start()
    earlier = [ask(here), ask(here)]
    task_ids = [await processes.make_task(request) for request in earlier]
    for request in earlier:
        await request.release()

    assert [await joined(ask(here)), await joined(ask(here)), await joined(ask(here))] == [*task_ids, None]


async def test_a_task_made_before_the_window_is_left_alone(processes: Processes, quiet_database: Database) -> None:
    here = processes.start()
    first = ask(here)
    await processes.make_task(first)
    await first.release()

    quiet_database.execute("UPDATE unanswered_requests SET created_at = now() - interval '121 seconds'")

    assert await joined(ask(here)) is None


@pytest.mark.parametrize(
    "other", [{"wish": "a dog"}, {"client": "beta"}, {"route": "edits"}], ids=["wish", "client", "route"]
)
async def test_a_request_that_differs_in_one_thing_joins_nothing(processes: Processes, other: dict[str, str]) -> None:
    here = processes.start()
    first = ask(here)
    await processes.make_task(first)
    await first.release()

    assert await joined(ask(here, **other)) is None


async def test_shutdown_waits_for_every_request_and_leaves_them_to_the_next_process(processes: Processes) -> None:
    here = processes.start()
    first = ask(here)
    task_id = await processes.make_task(first)
    draining = asyncio.create_task(here.drain())
    done, _ = await asyncio.wait({draining}, timeout=0.2)

    await first.release()
    await draining

    assert done == set()
    assert await joined(ask(processes.start())) == task_id


async def test_a_request_that_takes_long_keeps_its_place(processes: Processes, quiet_database: Database) -> None:
    here = processes.start()
    await processes.make_task(ask(here))
    about_to_expire = "UPDATE unanswered_requests SET waiter_until = now() + interval '1 second'"
    renewed = "SELECT waiter_until > now() + interval '10 seconds' FROM unanswered_requests"
    quiet_database.execute(about_to_expire)

    async def look() -> bool:
        await here.turn()
        return bool(quiet_database.value(renewed))

    await eventually_async(look, what="the lease is renewed")
