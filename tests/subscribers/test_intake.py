"""How often the loop asks Postgres: at once for what comes, and not without pause for what cannot go."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import TextClause

from service.db.engine import BY_INDEX
from service.db.line import Line, Record
from service.settings import Settings
from service.subscribers.claim_sql import CLAIM, GLANCE
from service.subscribers.deliver import DeliveryLoop
from service.subscribers.guard import Guard
from service.subscribers.lines import Lines
from service.subscribers.sender import open_sender
from tests.subscribers.notifications import Notifications, running
from tests.support.database import Database
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually_async

FLOOR_S = 1.0


class CountingLine(Line):
    """A line that keeps count of what runs on it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, BY_INDEX)
        self.ran = Counter[TextClause]()

    async def statement(self, sql: TextClause, values: Mapping[str, Any]) -> Sequence[Record]:
        self.ran[sql] += 1
        return await super().statement(sql, values)


@asynccontextmanager
async def worker(notifications: Notifications, claims: CountingLine, timeout_s: float) -> AsyncIterator[DeliveryLoop]:
    settings = Settings(outbound_allow=("127.0.0.0/8",), delivery_timeout_s=timeout_s, poll_floor_s=FLOOR_S)
    lines = Lines(claims, notifications.line, notifications.database)
    async with open_sender(settings, Guard.of(settings)) as sender:
        loop = DeliveryLoop(lines, sender, settings, lambda *_: None)
        async with running(loop):
            yield loop


@pytest.fixture
async def claims(quiet_database: Database) -> AsyncIterator[CountingLine]:
    line = CountingLine(Settings(database_url=SecretStr(quiet_database.url)))
    yield line
    await line.close()


@pytest.fixture
def hanging() -> Iterator[Receiver]:
    with Receiver() as second:
        yield second


async def test_what_waits_behind_a_subscriber_that_hangs_is_not_looked_at_without_pause(
    notifications: Notifications, claims: CountingLine, receiver: Receiver, hanging: Receiver
) -> None:
    hanging.answer(then=Answer(ending="hang"))
    await notifications.subscribe(hanging.url, client="hangs")
    for _ in range(50):
        await notifications.emit(client="hangs")
    await notifications.subscribe(receiver.url, client="well")

    began_s = time.monotonic()
    async with worker(notifications, claims, timeout_s=2.0) as loop:
        for number in range(1, 31):
            await notifications.emit(client="well")
            loop.intake.ring()
            await asyncio.to_thread(receiver.wait_for, number)
        looks, glances, took_s = claims.ran[CLAIM], claims.ran[GLANCE], time.monotonic() - began_s

    assert glances >= 25
    # One when it starts and a few until patience has grown; then one a second.
    assert looks <= 10 + 2 * took_s / FLOOR_S


async def test_what_is_rung_for_is_taken_by_one_glance(
    notifications: Notifications, claims: CountingLine, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)

    async with worker(notifications, claims, timeout_s=5.0) as loop:
        await eventually_async(lambda: _some(claims.ran[CLAIM]))
        for number in range(1, 11):
            await notifications.emit()
            loop.intake.ring()
            await eventually_async(lambda at_least=number: _done(notifications, at_least))
        glances = claims.ran[GLANCE]

    assert 10 <= glances <= 12


async def test_a_backlog_of_one_lane_goes_on_with_each_place_that_it_gets_back(
    notifications: Notifications, claims: CountingLine, receiver: Receiver
) -> None:
    await notifications.subscribe(receiver.url)
    await notifications.rows("UPDATE subscriptions SET max_in_flight = 1")
    for _ in range(20):
        await notifications.emit()

    began_s = time.monotonic()
    async with worker(notifications, claims, timeout_s=5.0):
        await eventually_async(lambda: _done(notifications, 20))

    assert time.monotonic() - began_s < 20 * FLOOR_S / 2


async def _some(count: int) -> int | None:
    return count or None


async def _done(notifications: Notifications, at_least: int) -> bool:
    return len(await notifications.results()) >= at_least
