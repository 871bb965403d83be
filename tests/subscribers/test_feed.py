"""The feed never skips an event, whichever order transactions commit in; positions survive as cursors."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.db.engine import Database as GatewayDatabase
from service.db.ids import first_id, new_id
from service.errors import InvalidRequest
from service.subscribers.feed import FeedFilter, FeedPage, Position, news_of, present_position, read_feed
from tests.journeys.after_the_fact import until_shown
from tests.support.database import Database

WRITE = "INSERT INTO events (id, client, type, body) VALUES ($1, 'shop', 'task.failed', '{}')"
ANY = FeedFilter()
POSITIONS = st.builds(Position, st.integers(-1, 2**63 - 1), st.uuids(), st.uuids())


@pytest.fixture
def writers(quiet_database: Database) -> Iterator[tuple[Database, Database]]:
    """Two connections on which transactions can be left open."""
    two = tuple(Database(quiet_database.url, quiet_database._portal) for _ in range(2))
    yield two[0], two[1]
    for each in two:
        each.close()


def write(database: Database) -> UUID:
    event_id = new_id()
    database.execute(WRITE, event_id)
    return event_id


async def read_on(database: GatewayDatabase, after: Position, limit: int = 20) -> FeedPage:
    return await read_feed(database, "shop", ANY, after, limit)


def ids(page: FeedPage) -> list[UUID]:
    return [event.id for event in page.events]


@given(POSITIONS)
def test_a_position_survives_as_a_cursor(position: Position) -> None:
    assert Position.read(position.cursor()) == position


@given(st.text(max_size=80))
def test_what_is_no_cursor_is_refused_or_means_what_it_says(text: str) -> None:
    try:
        position = Position.read(text)
    except InvalidRequest:
        return
    assert position.cursor() == text


async def test_an_event_that_commits_late_is_not_skipped(
    gateway_database: GatewayDatabase, writers: tuple[Database, Database]
) -> None:
    slow, quick = writers
    slow.execute("BEGIN")
    late = write(slow)
    early = write(quick)

    before = await read_on(gateway_database, Position.oldest())
    slow.execute("COMMIT")
    until_shown(quick)
    after = await read_on(gateway_database, before.position)

    assert ids(before) == []
    assert ids(after) == [late, early]


async def test_an_older_writer_that_stays_open_delays_and_loses_nothing(
    gateway_database: GatewayDatabase, writers: tuple[Database, Database]
) -> None:
    slow, quick = writers
    shown = write(quick)
    until_shown(quick)
    slow.execute("BEGIN")
    slow.value("SELECT pg_current_xact_id()")
    delayed = [write(quick) for _ in range(3)]

    first = await read_on(gateway_database, Position.oldest())
    second = await read_on(gateway_database, first.position)
    slow.execute("ROLLBACK")
    until_shown(quick)
    third = await read_on(gateway_database, second.position)

    assert (ids(first), ids(second), ids(third)) == ([shown], [], delayed)


async def test_readers_beside_many_writers_get_each_event_once(
    gateway_database: GatewayDatabase, quiet_database: Database, writers: tuple[Database, Database]
) -> None:
    slow, quick = writers
    written: list[UUID] = []
    seen: list[UUID] = []
    position = Position.oldest()

    for number in range(60):
        if number % 3 == 0:
            slow.execute("BEGIN")
        written += [write(slow), write(quick)]
        if number % 3 == 2:
            slow.execute("COMMIT")
        page = await read_on(gateway_database, position, limit=1 + number % 4)
        seen, position = seen + ids(page), page.position
    until_shown(quick)
    while len(seen) < len(written):
        page = await read_on(gateway_database, position)
        seen, position = seen + ids(page), page.position

    assert sorted(seen) == sorted(written)


async def test_a_clock_that_is_ahead_or_behind_by_minutes_hides_nothing(
    gateway_database: GatewayDatabase, quiet_database: Database
) -> None:
    begun = await present_position(gateway_database)
    now = datetime.now(UTC)
    for minutes in (-600, 90, -90, 600):
        quiet_database.execute(WRITE, first_id(now + timedelta(minutes=minutes)))
    until_shown(quiet_database)

    seen: list[UUID] = []
    for _ in range(6):
        page = await read_on(gateway_database, begun, limit=1)
        seen, begun = seen + ids(page), page.position

    assert len(seen) == len(set(seen)) == 4


async def test_a_cursor_of_a_database_that_was_replaced_is_refused(gateway_database: GatewayDatabase) -> None:
    ahead = Position(2**40, new_id(), first_id(datetime.now(UTC)))

    with pytest.raises(InvalidRequest, match="begin anew with `since`"):
        await read_on(gateway_database, ahead)


async def test_news_tell_the_newest_event_and_whether_one_is_still_to_come(
    gateway_database: GatewayDatabase, writers: tuple[Database, Database]
) -> None:
    slow, quick = writers
    since = datetime.now(UTC) - timedelta(days=1)
    [none] = [await news_of(gateway_database, ["shop", "another"], since)]
    shown = write(quick)
    until_shown(quick)
    slow.execute("BEGIN")
    write(slow)
    write(quick)

    news = await news_of(gateway_database, ["shop", "another"], since)
    slow.execute("COMMIT")

    assert none == {}
    assert list(news) == ["shop"]
    assert news["shop"].newest is not None
    assert (news["shop"].newest.id, news["shop"].more_to_come) == (shown, True)


async def test_readers_at_once_see_the_same(gateway_database: GatewayDatabase, quiet_database: Database) -> None:
    events = [write(quiet_database) for _ in range(30)]
    until_shown(quiet_database)

    pages = await asyncio.gather(*(read_on(gateway_database, Position.oldest(), limit=100) for _ in range(5)))

    assert [ids(page) for page in pages] == [events] * 5
