"""Runs the migrations on the database of GATEWAY_DATABASE_URL, one process at a time, all in one transaction."""

import asyncio
import re

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from service.db import notification_tables, tables
from service.db.engine import asyncpg_url
from service.settings import read_settings

# Any constant does, as long as it is always the same: pods that migrate at once queue up behind it.
MIGRATION_LOCK = 7_203_117_402

# Both pages of the schema draw on one registry.
METADATA = notification_tables.metadata
assert METADATA is tables.metadata

# Partitions come and go by the day and are no part of the schema.
PARTITION = re.compile(r"_(p\d{8}|default)$")


def is_schema(name: str | None, kind: str, _: object) -> bool:
    """Whether a table found in the database is to be compared."""
    return kind != "table" or not PARTITION.search(name or "")


def migrate(connection: Connection) -> None:
    """Take the lock, then run what is missing; a second process finds nothing left to do."""
    context.configure(
        connection=connection, target_metadata=METADATA, compare_server_default=True, include_name=is_schema
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.run_migrations()


async def main() -> None:
    """Connect, migrate, disconnect."""
    engine = create_async_engine(asyncpg_url(read_settings().database_url.get_secret_value()))
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
