"""What every loop and every caller runs finds its rows by an index, however many tasks there have been."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from service.db.engine import Database as GatewayDatabase
from service.settings import Settings
from tests.support.database import Database, DatabaseServer
from tests.tasks.query_plans import CLIENTS, FILL, FILL_THE_REST, Query, explain, listings, queries, whole_table_reads

TASKS = 50_000
OPEN_IN_EVERY = 1000
QUERIES = queries() | asyncio.run(listings())


@pytest.fixture(scope="module")
def filled(database_server: DatabaseServer) -> Iterator[Database]:
    """A database with a history."""
    with database_server.migrated() as database:
        database.execute(FILL, 1, TASKS, OPEN_IN_EVERY, CLIENTS)
        database.execute(FILL_THE_REST)
        database.execute("VACUUM ANALYZE")
        yield database


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_with_50000_tasks_no_table_is_read_whole(filled: Database, query: Query) -> None:
    async with gateway_database(filled) as database:
        plan = await explain(database, query)

    assert whole_table_reads(plan) == [], plan


@asynccontextmanager
async def gateway_database(database: Database) -> AsyncIterator[GatewayDatabase]:
    opened = GatewayDatabase(Settings(database_url=SecretStr(database.url)))
    try:
        yield opened
    finally:
        await opened.close()
