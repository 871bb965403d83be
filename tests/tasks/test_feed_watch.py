"""Waiting for events: however many wait, what happens to others costs one read; what is not shown yet is looked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import Executable, Row

from service.db.engine import Database as GatewayDatabase
from service.db.ids import new_id
from service.db.listen import TASKS
from service.errors import LimitReached
from service.resources import Resources, open_resources
from service.settings import Settings
from service.subscribers.feed import FeedFilter, FeedPage, Position, present_position
from service.tasks.feed_watch import SETTLE_FIRST_S, FeedWatch, Wanted
from service.tasks.watch import Watch
from tests.journeys.after_the_fact import until_shown
from tests.support.database import Database
from tests.support.waiting import eventually_async

MOST_WAITERS = 1000
WRITE = "INSERT INTO events (id, client, type, body) VALUES ($1, $2, 'task.failed', '{}')"


class CountingDatabase(GatewayDatabase):
    """Counts what is asked."""

    statements = 0

    async def statement(self, sql: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        self.statements += 1
        return await super().statement(sql, values)


class Feed:
    """A feed whose loop takes turns only when told, and those that wait for it."""

    def __init__(self, resources: Resources, database: CountingDatabase, begin: Position) -> None:
        self.tasks = Watch(resources)
        self.watch = FeedWatch(resources, self.tasks)
        self.bell, self.database, self._begin = resources.bell, database, begin
        self._asking: list[asyncio.Task[FeedPage]] = []

    async def wait(self, client: str, callers: int = 1) -> None:
        """Let so many wait for what happens to the client, and return when they do."""
        wanted = Wanted(client, FeedFilter(), self._begin, 20)
        self._asking += [asyncio.create_task(self.watch.next_page(wanted, 60.0)) for _ in range(callers)]
        await eventually_async(self._all_wait, timeout_s=30, what="all wait")
        self.database.statements = 0

    async def answers(self) -> list[list[UUID]]:
        """What those that waited got."""
        return [[event.id for event in page.events] for page in await asyncio.gather(*self._asking)]

    async def _all_wait(self) -> bool:
        return sum(len(waiters) for waiters in self.watch._waiters.values()) == len(self._asking)


@pytest.fixture
async def feed(quiet_database: Database) -> AsyncIterator[Feed]:
    settings = Settings(
        database_url=SecretStr(quiet_database.url), listen=False, wait_max_waiters=MOST_WAITERS, poll_floor_s=5
    )
    async with open_resources(settings) as resources:
        database = CountingDatabase(settings)
        counted = replace(resources, db=database)
        yield Feed(counted, database, await present_position(database))
        await database.close()


def write(database: Database, client: str) -> UUID:
    event_id = new_id()
    database.execute(WRITE, event_id, client)
    return event_id


async def test_what_happens_to_others_costs_one_read_however_many_wait(feed: Feed, quiet_database: Database) -> None:
    await feed.wait("shop", MOST_WAITERS)

    for _ in range(20):
        write(quiet_database, "another")
        feed.bell.ring(TASKS, new_id().hex)
        await feed.watch.turn()
    while_others = feed.database.statements
    mine = write(quiet_database, "shop")
    until_shown(quiet_database)
    await feed.watch.turn()

    assert while_others == 20
    assert await feed.answers() == [[mine]] * MOST_WAITERS


async def test_one_more_than_may_wait_is_told_to_poll(feed: Feed, quiet_database: Database) -> None:
    await feed.wait("shop", MOST_WAITERS)

    with pytest.raises(LimitReached):
        await feed.watch.next_page(Wanted("shop", FeedFilter(), await present_position(feed.database), 20), 60.0)

    feed.tasks.close()
    feed.watch.close()
    assert await feed.answers() == [[]] * MOST_WAITERS


async def test_without_anybody_waiting_nothing_is_read(feed: Feed) -> None:
    feed.database.statements = 0
    feed.bell.ring(TASKS, new_id().hex)

    rest_s = await feed.watch.turn()

    assert (feed.database.statements, feed.watch.wake.is_set(), rest_s) == (0, False, 5.0)


async def test_an_event_behind_an_open_transaction_is_looked_for_soon_and_shown_when_that_ends(
    feed: Feed, quiet_database: Database, worker_quiet_database: Database
) -> None:
    older = Database(worker_quiet_database.url, worker_quiet_database._portal)
    older.execute("BEGIN")
    first = write(older, "shop")
    await feed.wait("shop")
    second = write(quiet_database, "shop")

    rests_s = [await feed.watch.turn() for _ in range(3)]
    shown_before = not await feed._all_wait()
    older.execute("COMMIT")
    until_shown(quiet_database)
    await feed.watch.turn()

    assert shown_before is False
    assert rests_s[0] <= 2 * SETTLE_FIRST_S < rests_s[1] < rests_s[2] < 5.0
    assert await feed.answers() == [[first, second]]
    older.close()
