"""The loop of partitions on a real database: ahead in time, dropped by age, and no row is ever lost for want of one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from uuid import UUID

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.db import partitions
from service.db.days import DAYS_AHEAD, bounds, partition_name
from service.db.engine import Database as GatewayDatabase
from service.db.ids import first_id
from service.db.partitions import PartitionLoop
from service.settings import Settings
from tests.support.database import Database

TABLES = ("events", "delivery_results", "delivery_attempts")
A_DAY = timedelta(days=1)
WRITE = "INSERT INTO events (id, client, type, body, created_at) VALUES ($1, 'shop', 'task.failed', $2, $3)"


@pytest.fixture
async def loop(own_database: Database) -> AsyncIterator[PartitionLoop]:
    opened, settings = open_database(own_database), Settings(event_keep_days=30, attempt_keep_days=10)
    yield PartitionLoop(opened, settings)
    await opened.close()


def open_database(database: Database) -> GatewayDatabase:
    return GatewayDatabase(Settings(database_url=SecretStr(database.url)))


def partitions_of(database: Database, table: str) -> set[str]:
    rows = database.rows(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass", table
    )
    return {row["name"] for row in rows}


def today() -> date:
    return datetime.now(UTC).date()


def an_id(day: date, number: int = 1) -> UUID:
    return UUID(int=bounds(day)[0].int + (number << 64) + 1)


def drop(database: Database, table: str, day: date) -> None:
    database.execute(f"DROP TABLE {partition_name(table, day)}")


def add(database: Database, table: str, day: date) -> None:
    """A partition of a day gone by."""
    first, end = bounds(day)
    name = partition_name(table, day)
    database.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{end}')")


def home_of(database: Database, event_id: UUID) -> str:
    """The partition that holds the event."""
    return str(database.value("SELECT tableoid::regclass::text FROM events WHERE id = $1", event_id))


@pytest.mark.parametrize("table", TABLES)
async def test_every_day_of_the_next_week_gets_its_partition(
    loop: PartitionLoop, own_database: Database, table: str
) -> None:
    for ahead in range(3, DAYS_AHEAD + 1):
        drop(own_database, table, today() + ahead * A_DAY)

    rest_s = await loop.turn()

    assert rest_s == partitions.REST_S
    assert partitions_of(own_database, table) == {f"{table}_default"} | {
        partition_name(table, today() + ahead * A_DAY) for ahead in range(DAYS_AHEAD + 1)
    }


async def test_a_partition_made_by_the_loop_has_what_those_of_the_migration_have(
    loop: PartitionLoop, own_database: Database
) -> None:
    first, second = today() + 6 * A_DAY, today() + 7 * A_DAY
    shape = """
        SELECT (SELECT array_agg(replace(pg_get_indexdef(indexrelid), $2, '') ORDER BY 1) FROM pg_index
                WHERE indrelid = $1::regclass) IS NULL AS bare,
            (SELECT count(*) FROM pg_index i JOIN pg_inherits ON inhrelid = indexrelid WHERE indrelid = $1::regclass)
                AS indexes,
            (SELECT count(*) FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('c', 'p')) AS checks
    """
    for table in TABLES:
        drop(own_database, table, second)

    await loop.turn()

    for table in TABLES:
        made, migrated = partition_name(table, second), partition_name(table, first)
        assert own_database.rows(shape, made, made) == own_database.rows(shape, migrated, migrated)


async def test_a_day_that_is_older_than_it_is_kept_is_dropped_and_said_so(
    loop: PartitionLoop, own_database: Database
) -> None:
    old, kept = today() - 31 * A_DAY, today() - 29 * A_DAY
    for day in (old, kept):
        add(own_database, "events", day)
        own_database.execute(WRITE, an_id(day), "", datetime.now(UTC))

    with capture_logs() as lines:
        await loop.turn()

    assert own_database.rows("SELECT id FROM events") == [{"id": an_id(kept)}]
    assert partition_name("events", old) not in partitions_of(own_database, "events")
    assert [line["partition"] for line in lines if line["event"] == "partition_dropped"] == [
        partition_name("events", old)
    ]


async def test_attempts_are_kept_for_their_own_time(loop: PartitionLoop, own_database: Database) -> None:
    day = today() - 15 * A_DAY
    for table in TABLES:
        add(own_database, table, day)

    await loop.turn()

    has_it = [partition_name(table, day) in partitions_of(own_database, table) for table in TABLES]
    assert has_it == [True, True, False]


async def test_without_a_partition_a_row_is_kept_all_the_same_and_moves_to_its_day_later(
    loop: PartitionLoop, own_database: Database
) -> None:
    drop(own_database, "events", today())
    written = [an_id(today(), number) for number in range(50)]
    for event_id in written:
        own_database.execute(WRITE, event_id, "kept to the letter", datetime.now(UTC))
    before = {home_of(own_database, event_id) for event_id in written}

    await loop.turn()

    assert before == {"events_default"}
    assert {home_of(own_database, event_id) for event_id in written} == {partition_name("events", today())}
    assert own_database.value("SELECT count(*) FROM events WHERE body = 'kept to the letter'") == len(written)


async def test_a_day_with_too_many_rows_to_move_stays_where_it_is_and_the_next_days_are_made(
    loop: PartitionLoop, own_database: Database
) -> None:
    tomorrow = today() + A_DAY
    for day in (today(), tomorrow):
        drop(own_database, "events", day)
    own_database.execute(
        "INSERT INTO events (id, client, type, body) SELECT gateway_uuid7(now()), 'shop', 'task.failed', '' "
        f"FROM generate_series(1, {partitions.MOVED_AT_ONCE + 1})"
    )

    await loop.turn()

    made = partitions_of(own_database, "events")
    assert partition_name("events", today()) not in made
    assert partition_name("events", tomorrow) in made
    assert own_database.value("SELECT count(*) FROM events_default") == partitions.MOVED_AT_ONCE + 1


async def test_rows_whose_clock_lied_are_forgotten_by_the_time_at_which_they_came(
    loop: PartitionLoop, own_database: Database
) -> None:
    far_ahead, far_back = first_id(datetime(2099, 1, 1, tzinfo=UTC)), first_id(datetime(1999, 1, 1, tzinfo=UTC))
    now = datetime.now(UTC)
    own_database.execute(WRITE, far_ahead, "", now - 31 * A_DAY)
    own_database.execute(WRITE, far_back, "", now - 29 * A_DAY)

    await loop.turn()

    assert own_database.rows("SELECT id FROM events") == [{"id": far_back}]


async def test_several_processes_at_once_make_each_partition_once(own_database: Database) -> None:
    for ahead in range(2, DAYS_AHEAD + 1):
        drop(own_database, "events", today() + ahead * A_DAY)
    opened = [open_database(own_database) for _ in range(4)]
    loops = [PartitionLoop(database, Settings()) for database in opened]

    await asyncio.gather(*(loop.turn() for loop in loops))
    rest_s = await loops[0].turn()

    assert rest_s == partitions.REST_S
    assert len(partitions_of(own_database, "events")) == DAYS_AHEAD + 2
    for database in opened:
        await database.close()


async def test_a_reader_in_the_way_is_waited_for_briefly_and_the_rest_is_done_soon(
    loop: PartitionLoop, own_database: Database
) -> None:
    old, last = today() - 40 * A_DAY, today() + DAYS_AHEAD * A_DAY
    add(own_database, "events", old)
    drop(own_database, "delivery_attempts", last)
    own_database.execute("BEGIN")
    own_database.value("SELECT count(*) FROM events")

    began_s = monotonic()
    while_read = await loop.turn()
    waited_s = monotonic() - began_s
    in_the_way = partition_name("events", old) in partitions_of(own_database, "events")
    own_database.execute("COMMIT")
    afterwards = await loop.turn()

    assert waited_s < 10 * partitions.LOCK_TIMEOUT_MS / 1000
    assert (while_read, in_the_way, afterwards) == (partitions.SOON_S, True, partitions.REST_S)
    assert partition_name("events", old) not in partitions_of(own_database, "events")
    assert partition_name("delivery_attempts", last) in partitions_of(own_database, "delivery_attempts")
