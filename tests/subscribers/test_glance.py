"""A glance takes what just came for who takes it, holds every cap, and leaves the rest to a look, and says so."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import SecretStr

from service.db.engine import BY_INDEX
from service.db.line import Line
from service.settings import Settings
from service.subscribers.claims import EVER, WINDOW_MIN, Found, Target, claim_new
from service.subscribers.pace import FewRooms
from tests.subscribers.notifications import Notifications
from tests.support.database import Database

URL = "http://127.0.0.1/hook"
FREE = 16


async def glance(
    line: Line,
    *,
    since: datetime = EVER,
    free: int = FREE,
    full: Sequence[UUID] = (),
    of_others: int = 4,
) -> Found:
    """What a process sees at a glance that has so many places free; the lanes in `full` hold all they may."""
    lanes = tuple(full)
    return await claim_new(line, Settings(), FewRooms(free, lanes, (0,) * len(lanes), lanes, of_others), since)


async def test_it_takes_what_just_came_as_a_look_would(notifications: Notifications) -> None:
    subscription = await notifications.subscribe(URL)
    event_id = await notifications.emit(body='{"type":"task.succeeded"}')

    found = await glance(notifications.line)

    (claim,) = found.claims
    assert (claim.event_id, claim.subscription_id, claim.attempt) == (event_id, subscription.id, 1)
    assert claim.target == Target(URL, (subscription.secret,), b'{"type":"task.succeeded"}', 15.0)
    assert (found.left_lanes, found.left_from, found.is_cut) == (frozenset(), None, False)
    assert await notifications.claim() == []


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("rate_per_s = 5", id="it has a rate"),
        pytest.param("failures_in_row = 1", id="it failed last"),
        pytest.param("rests_until = now() + interval '1 hour'", id="it rests"),
        pytest.param("state = 'paused'", id="it is paused"),
        pytest.param("state = 'disabled'", id="it is disabled"),
    ],
)
async def test_it_leaves_who_needs_weighing_and_names_them(notifications: Notifications, columns: str) -> None:
    subscription = await notifications.subscribe(URL)
    await notifications.emit()
    await notifications.rows(f"UPDATE subscriptions SET {columns}")

    found = await glance(notifications.line)

    assert (list(found.claims), found.left_lanes) == ([], {subscription.id})
    assert found.left_from is not None
    assert await notifications.rows("SELECT attempts FROM deliveries") == [{"attempts": 0}]


async def test_it_leaves_what_belongs_to_nobody_any_more(notifications: Notifications) -> None:
    subscription = await notifications.subscribe(URL)
    await notifications.emit()
    await notifications.rows("DELETE FROM subscriptions")

    assert (await glance(notifications.line)).left_lanes == {subscription.id}


async def test_it_gives_nothing_to_a_lane_that_is_full(notifications: Notifications) -> None:
    full, other = await notifications.subscribe(URL), await notifications.subscribe(URL, client="other")
    for client in ("shop", "other"):
        await notifications.emit(client=client)

    found = await glance(notifications.line, full=[full.id])

    assert [claim.subscription_id for claim in found.claims] == [other.id]
    assert found.left_lanes == {full.id}


async def test_the_first_of_every_lane_comes_before_the_second_of_any(notifications: Notifications) -> None:
    for client in ("many", "few"):
        await notifications.subscribe(URL, client=client)
    for client in ("many", "many", "many", "few"):
        await notifications.emit(client=client)

    found = await glance(notifications.line, free=2)

    assert len({claim.subscription_id for claim in found.claims}) == 2
    assert found.is_cut


async def test_glances_of_many_processes_together_keep_a_cap(
    notifications: Notifications, quiet_database: Database
) -> None:
    await notifications.subscribe(URL)
    await notifications.rows("UPDATE subscriptions SET max_in_flight = 2")
    for _ in range(20):
        await notifications.emit()
    settings = Settings(database_url=SecretStr(quiet_database.url))
    lines = [Line(settings, BY_INDEX) for _ in range(8)]

    most = 0
    for _ in range(20):
        found = await asyncio.gather(*(glance(line) for line in lines))
        most = max(most, sum(len(each.claims) for each in found))
        assert await notifications.claim() == []
        await notifications.make_due()

    assert most == 2
    for line in lines:
        await line.close()


async def test_what_is_left_of_long_ago_does_not_hide_what_just_came(notifications: Notifications) -> None:
    slow = await notifications.subscribe(URL)
    for _ in range(2 * WINDOW_MIN):
        await notifications.emit()
    other = await notifications.subscribe(URL, client="other")
    await notifications.emit(client="other")

    found = await glance(notifications.line, full=[slow.id])

    assert [claim.subscription_id for claim in found.claims] == [other.id]
    assert (found.is_cut, found.left_from) == (True, EVER)


async def test_it_looks_back_no_further_than_asked(notifications: Notifications) -> None:
    await notifications.subscribe(URL)
    await notifications.emit()

    found = await glance(notifications.line, since=datetime.now(UTC) + timedelta(minutes=1))

    assert (list(found.claims), found.left_lanes) == ([], frozenset())
