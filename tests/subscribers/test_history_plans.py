"""What is asked after the fact finds its rows by an index, however much has happened."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from service.db.days import bounds, partition_name
from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from tests.subscribers.history_plans import FILL, listings, queries, tables, whole_reads
from tests.support.database import Database, DatabaseServer
from tests.tasks.query_plans import Query, explain, nodes

QUERIES = queries() | asyncio.run(listings())
DAYS = [datetime.now(UTC).date() - timedelta(days=back) for back in range(1, 9)]


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer) -> Iterator[Database]:
    """A database with a history of eight days, each in its own partition."""
    with database_server.migrated() as database:
        for table in tables():
            for day in DAYS:
                first, end = bounds(day)
                name = partition_name(table, day)
                database.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{end}')")
        database.execute(FILL)
        database.execute("VACUUM ANALYZE")
        yield database


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_with_50000_events_no_full_table_or_day_is_read_whole(filled: Database, query: Query) -> None:
    full_days = [partition_name(table, day) for table in tables() for day in DAYS]
    async with gateway_database(filled) as database:
        plan = await explain(database, query)

    assert whole_reads(list(nodes(plan)), full_days) == [], plan


@asynccontextmanager
async def gateway_database(database: Database) -> AsyncIterator[GatewayDatabase]:
    opened = GatewayDatabase(Settings(database_url=SecretStr(database.url)))
    try:
        yield opened
    finally:
        await opened.close()
