"""The loop that makes partitions for the coming days and drops those whose rows are older than they are kept."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.days import bounds, day_of, days_to_drop, default_name, missing_days, partition_name
from service.db.engine import Database
from service.errors import Unavailable
from service.settings import Settings
from service.telemetry import partitions_dropped_total

REST_S = 1800.0
SOON_S = 30.0
LOCK_TIMEOUT_MS = 300
# More are not moved out of the default partition, since nobody can read or write it meanwhile.
MOVED_AT_ONCE = 10_000
FORGOTTEN_AT_ONCE = 1000
# Any constant does, as long as it is always the same: one process changes partitions at a time.
PARTITION_LOCK = 7_203_117_403

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DailyTable:
    """A table with a partition for every day; `moment` is the column with the database's own time of a row."""

    name: str
    moment: str
    keep_days: int


def daily_tables(settings: Settings) -> tuple[DailyTable, ...]:
    """Every table that is partitioned by day."""
    return (
        DailyTable("events", "created_at", settings.event_keep_days),
        DailyTable("delivery_results", "ended_at", settings.event_keep_days),
        DailyTable("delivery_attempts", "started_at", settings.attempt_keep_days),
    )


class PartitionLoop:
    """Keeps the days ahead in place and drops the old ones; a loop of the usual outline, at rest most of the time.

    A row never depends on it: what has no partition of its own day goes to the default one. To change partitions it
    needs locks for which everybody else would queue up, so it gives up after a third of a second and tries again soon.
    An undone delivery never loses its event: the schedule of attempts lasts less than four days, a subscription that
    only fails is disabled after five, and the least that GATEWAY_EVENT_KEEP_DAYS may be is a week.
    """

    name = "partitions"

    def __init__(self, database: Database, settings: Settings) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._tables = daily_tables(settings)

    async def turn(self) -> float:
        """Do what the day asks for; soon again if somebody was in the way."""
        done = [await self._tend(table, now, days) for table, now, days in await self._present()]
        return REST_S if all(done) else SOON_S

    async def drain(self) -> None:
        """Nothing outlives a turn."""

    async def _present(self) -> Sequence[tuple[DailyTable, datetime, Collection[date]]]:
        """Each table, the database's time, and the days that it has."""
        rows = await self._database.statement(_PRESENT, {"tables": [table.name for table in self._tables]})
        names = {row.table: (row.at, row.partitions) for row in rows}
        return [(table, names[table.name][0], _days(table, names[table.name][1])) for table in self._tables]

    async def _tend(self, table: DailyTable, now: datetime, present: Collection[date]) -> bool:
        """Whether nothing is left to do for this table."""
        made = [await self._make(table, day) for day in missing_days(present, now)]
        dropped = [await self._drop(table, day) for day in days_to_drop(present, now, table.keep_days)]
        return all((*made, *dropped, await self._forget_strays(table)))

    async def _make(self, table: DailyTable, day: date) -> bool:
        try:
            async with self._database.transaction() as connection:
                return await _may_change(connection) and await _make(connection, table.name, day)
        except Unavailable as exc:
            log.info("partition_put_off", partition=partition_name(table.name, day), reason=str(exc))
            return False

    async def _drop(self, table: DailyTable, day: date) -> bool:
        name = partition_name(table.name, day)
        try:
            async with self._database.transaction() as connection:
                if not await _may_change(connection):
                    return False
                await connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
        except Unavailable as exc:
            log.info("partition_put_off", partition=name, reason=str(exc))
            return False
        partitions_dropped_total.labels(table.name).inc()
        log.info("partition_dropped", partition=name, keep_days=table.keep_days)
        return True

    async def _forget_strays(self, table: DailyTable) -> bool:
        """Delete a portion of what is too old in the default partition; whether that was all of it."""
        values = {"keep_days": table.keep_days, "most": FORGOTTEN_AT_ONCE}
        gone = await self._database.statement(_forget(table), values)
        return len(gone) < FORGOTTEN_AT_ONCE


async def _may_change(connection: AsyncConnection) -> bool:
    """Whether no other process is at it; for the length of the transaction."""
    await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
    lock = await connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": PARTITION_LOCK})
    return bool(lock.scalar_one())


async def _make(connection: AsyncConnection, table: str, day: date) -> bool:
    """Make the partition, with the rows of that day that lie in the default one; whether that was possible.

    A table that is attached takes a weaker lock on its parent than one that is made in its place: writers go on.
    """
    name, default, (first, end) = partition_name(table, day), default_name(table), bounds(day)
    if (await connection.execute(_EXISTS, {"name": name})).scalar_one():
        return True
    of_that_day = {"first": first, "end": end}
    strays = (await connection.execute(_strays(default), of_that_day | {"most": MOVED_AT_ONCE + 1})).scalar_one()
    if strays > MOVED_AT_ONCE:
        log.warning("partition_left_out", partition=name, remedy="the day stays in the default partition until it ages")
        return True
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
    if strays:
        # Without this lock a row could come in between, and the day could not be attached.
        await connection.execute(text(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE"))
        await connection.execute(_move(default, name), of_that_day)
    # Bounds of partitions are part of the syntax and cannot be bound as values; these are two uuids of ours.
    bound = text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{end}')")
    await connection.execute(bound)
    log.info("partition_made", partition=name, rows_moved=strays)
    return True


def _days(table: DailyTable, names: Sequence[str]) -> frozenset[date]:
    return frozenset(day for day in (day_of(table.name, name) for name in names) if day is not None)


def _strays(default: str) -> TextClause:
    return text(f"SELECT count(*) FROM (SELECT FROM {default} WHERE id >= :first AND id < :end LIMIT :most) AS few")


def _move(default: str, name: str) -> TextClause:
    return text(f"""
        WITH moved AS (DELETE FROM {default} WHERE id >= :first AND id < :end RETURNING *)
        INSERT INTO {name} SELECT * FROM moved
    """)


def _forget(table: DailyTable) -> TextClause:
    """By the database's time: an id that lies far ahead or back is what brought a row here."""
    default = default_name(table.name)
    return text(f"""
        DELETE FROM {default} WHERE id = ANY (ARRAY(
            SELECT id FROM {default} WHERE {table.moment} < now() - make_interval(days => :keep_days) LIMIT :most
        )) RETURNING id
    """)


_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")
_PRESENT: Any = text("""
    SELECT parent.relname AS table, now() AS at, array_agg(child.relname::text) AS partitions
    FROM pg_inherits JOIN pg_class parent ON parent.oid = inhparent JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = ANY (CAST(:tables AS text[])::regclass[])
    GROUP BY parent.relname
""")
