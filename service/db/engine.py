"""The one way to Postgres, and the only committer: `transaction()`, `reading()`, `statement()`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Executable, Row
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from service.errors import GatewayError, Unavailable
from service.settings import Settings
from service.telemetry import timed

RETRY_AFTER_S = 2.0

# SQLSTATE classes: connection, rollback (deadlock), resources, lock not had, operator (timeout, shutdown).
PASSING_CLASSES = frozenset({"08", "40", "53", "55", "57"})

# A pooler may give each transaction another server, where a statement that was prepared is unknown or somebody else's.
# The nameless one is prepared and run in one go, so it needs no server of its own.
_NOTHING_PREPARED: Mapping[str, object] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}

# Settings of the sessions. A plan is kept, and one that was made while a table was empty may read it whole for as long
# as nobody analyzes it: where every statement has an index to go by, reading whole tables is ruled out.
ORDINARY: Mapping[str, str] = MappingProxyType({})
BY_INDEX: Mapping[str, str] = MappingProxyType({"enable_seqscan": "off"})
# The same, and a commit returns before it is on disk: for what would be done anew if the server died at that moment.
BY_INDEX_UNFLUSHED: Mapping[str, str] = MappingProxyType({**BY_INDEX, "synchronous_commit": "off"})

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


class NetworkCallInTransaction(GatewayError):
    """A network call was tried while a database transaction was open: it would hold locks for as long as it takes."""


def forbid_in_transaction() -> None:
    """Raise if a transaction is open in this task; every client of ours calls it before it dials."""
    if _in_transaction.get():
        raise NetworkCallInTransaction


def asyncpg_url(text: str) -> URL:
    """The URL with our driver, from `postgresql://` or `postgres://`; libpq's `sslmode` works."""
    url = make_url(text.replace("postgres://", "postgresql://", 1))
    mode = url.query.get("sslmode")
    if isinstance(mode, str):
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url.set(drivername="postgresql+asyncpg")


def session_settings(settings: Settings, session: Mapping[str, str]) -> dict[str, str]:
    """What Postgres is told when a connection begins."""
    timeout_ms = str(int(settings.database_statement_timeout_s * 1000))
    return {
        "application_name": "image-gateway",
        "statement_timeout": timeout_ms,
        # A process that is frozen inside a transaction must not hold the account's lock for as long.
        "idle_in_transaction_session_timeout": timeout_ms,
        # Just-in-time compilation costs more than these short statements.
        "jit": "off",
        **session,
    }


def create_engine(settings: Settings, session: Mapping[str, str]) -> AsyncEngine:
    """A pooled engine in AUTOCOMMIT: a single statement costs one round trip, with no BEGIN, COMMIT or RESET."""
    return create_async_engine(
        asyncpg_url(settings.database_url.get_secret_value()),
        isolation_level="AUTOCOMMIT",
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.database_pool_timeout_s,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            **({} if settings.database_prepared_statements else _NOTHING_PREPARED),
            "timeout": settings.database_pool_timeout_s,
            "server_settings": session_settings(settings, session),
        },
    )


def _passes(exc: DBAPIError) -> bool:
    """Whether it is about the moment and not about the statement: connection lost, timeout, deadlock, no room."""
    sqlstate = str(getattr(exc.orig, "sqlstate", None) or "")
    return exc.connection_invalidated or sqlstate[:2] in PASSING_CLASSES


class Database:
    """A pool of connections in AUTOCOMMIT, on which a transaction is opened only where several statements need one."""

    def __init__(self, settings: Settings, session: Mapping[str, str] = ORDINARY) -> None:
        self._engine = create_engine(settings, session)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: commits when the block ends, rolls back when it raises. Unavailable if Postgres is away."""
        async with self.reading() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            token = _in_transaction.set(True)
            try:
                async with connection.begin():
                    yield connection
            finally:
                _in_transaction.reset(token)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement stands for itself. Unavailable if Postgres is away."""
        try:
            connection = await self._engine.connect()
        except (OSError, SQLAlchemyError) as exc:
            raise Unavailable("The database cannot be reached.", retry_after_s=RETRY_AFTER_S) from exc
        try:
            yield connection
        except DBAPIError as exc:
            if not _passes(exc):
                raise
            raise Unavailable("The database could not answer in time.", retry_after_s=RETRY_AFTER_S) from exc
        finally:
            await connection.close()

    async def statement(self, sql: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """Run one statement as a transaction of its own and return its rows."""
        with timed("db"):
            async with self.reading() as connection:
                result = await connection.execute(sql, values)
                return result.all() if result.returns_rows else ()

    def connections_in_use(self) -> int:
        """How many of the pool's connections are checked out now."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
