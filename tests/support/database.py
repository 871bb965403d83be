"""Migrated databases for tests: made once per run as a template, cloned per worker, emptied between tests."""

import fcntl
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.support.postgres import ROOT, TestRun

Result = TypeVar("Result")

EMPTY_TRIES = 5

TABLES = """
SELECT quote_ident(child.relname) AS child, array_remove(array_agg(quote_ident(parent.relname)), NULL) AS parents
FROM pg_class child
LEFT JOIN pg_constraint link ON link.conrelid = child.oid AND link.contype = 'f' AND link.confrelid <> child.oid
LEFT JOIN pg_class parent ON parent.oid = link.confrelid
WHERE child.relnamespace = 'public'::regnamespace AND child.relkind IN ('r', 'p') AND NOT child.relispartition
  AND child.relname <> 'alembic_version'
GROUP BY child.relname
"""


class Database:
    """One database, asked in plain SQL from sync and async tests alike; every statement commits by itself."""

    def __init__(self, url: str, portal: BlockingPortal) -> None:
        self.url = url
        self._portal = portal
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._tables: list[str] = []

    def execute(self, sql: str, *arguments: object) -> str:
        """Run a statement (or several without arguments); its command tag, such as `UPDATE 1`."""
        return str(self._with_connection(lambda connection: connection.execute(sql, *arguments)))

    def rows(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        """All rows of a query."""
        found = self._with_connection(lambda connection: connection.fetch(sql, *arguments))
        return [dict(row) for row in found]

    def value(self, sql: str, *arguments: object) -> Any:
        """The first column of the first row."""
        return self._with_connection(lambda connection: connection.fetchval(sql, *arguments))

    def empty(self) -> None:
        """Delete all rows, children before parents; on small tables DELETE takes a tenth of TRUNCATE's time."""
        if not self._tables:
            parents_first = TopologicalSorter({row["child"]: row["parents"] for row in self.rows(TABLES)})
            self._tables = list(parents_first.static_order())[::-1]
        everything = "".join(f"DELETE FROM {table};" for table in self._tables)
        for _ in range(EMPTY_TRIES - 1):
            # A loop of the shared gateway may be at the same rows in its own order: one of the two is told to give way.
            with suppress(asyncpg.DeadlockDetectedError):
                self.execute(everything)
                return
        self.execute(everything)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._portal.call(self._connection.close)
            self._connection = None

    def _with_connection(self, ask: Callable[["asyncpg.Connection[asyncpg.Record]"], Awaitable[Result]]) -> Result:
        async def connected() -> Result:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self.url, statement_cache_size=0)
            return await ask(self._connection)

        return self._portal.call(connected)


class DatabaseServer:
    """Makes and drops databases on the run's server."""

    def __init__(self, run: TestRun, portal: BlockingPortal) -> None:
        self._run = run
        self._portal = portal
        self._admin = Database(run.server_url, portal)
        self._template = f"{run.prefix}_template"

    @contextmanager
    def migrated(self) -> Iterator[Database]:
        """A database with the newest schema, dropped after the block even if somebody is still connected."""
        self._ensure_template()
        with self._database(f"{self._run.prefix}_{uuid.uuid4().hex[:8]}", f"TEMPLATE {self._template}") as database:
            yield database

    @contextmanager
    def bare(self) -> Iterator[Database]:
        """A database without any table, for tests of migrations."""
        with self._database(f"{self._run.prefix}_{uuid.uuid4().hex[:8]}", "") as database:
            yield database

    def close(self) -> None:
        """Give the connection back; the template stays for other workers and goes with the run."""
        self._admin.close()

    @contextmanager
    def _database(self, name: str, template: str) -> Iterator[Database]:
        self._admin.execute(f"CREATE DATABASE {name} {template}")
        database = Database(urlsplit(self._run.server_url)._replace(path=f"/{name}").geturl(), self._portal)
        try:
            yield database
        finally:
            database.close()
            self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _ensure_template(self) -> None:
        """One worker migrates, the others wait for it."""
        with (Path(self._run.directory) / "template.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._admin.value("SELECT count(*) FROM pg_database WHERE datname = $1", self._template):
                scratch = f"{self._template}_unfinished"
                self._admin.execute(f"DROP DATABASE IF EXISTS {scratch} WITH (FORCE)")
                self._admin.execute(f"CREATE DATABASE {scratch}")
                migrate(urlsplit(self._run.server_url)._replace(path=f"/{scratch}").geturl())
                self._admin.execute(f"ALTER DATABASE {scratch} RENAME TO {self._template}")


def migrate(url: str) -> None:
    """Bring a database to the newest schema as an operator does: `python -m service migrate`."""
    environment = {**os.environ, "GATEWAY_DATABASE_URL": url}
    command = [sys.executable, "-m", "service", "migrate"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`service migrate` failed:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def database_server(test_run: TestRun) -> Iterator[DatabaseServer]:
    """For tests that need several databases of their own."""
    with start_blocking_portal() as portal:
        server = DatabaseServer(test_run, portal)
        yield server
        server.close()


@pytest.fixture(scope="session")
def worker_database(database_server: DatabaseServer) -> Iterator[Database]:
    """The database that the tests of one worker share, one after the other."""
    with database_server.migrated() as database:
        yield database


@pytest.fixture
def database(worker_database: Database) -> Database:
    """The worker's database, emptied; what the shared `gateway` runs on."""
    worker_database.empty()
    return worker_database


@pytest.fixture(scope="session")
def worker_quiet_database(database_server: DatabaseServer) -> Iterator[Database]:
    """A second database of the worker, on which no gateway runs."""
    with database_server.migrated() as database:
        yield database


@pytest.fixture
def quiet_database(worker_quiet_database: Database) -> Database:
    """An emptied database whose rows nobody but the test moves: for tests that turn a loop themselves."""
    worker_quiet_database.empty()
    return worker_quiet_database


@pytest.fixture
def own_database(database_server: DatabaseServer) -> Iterator[Database]:
    """A database for this test alone; what gateways of `start_gateway` run on."""
    with database_server.migrated() as database:
        yield database


@pytest.fixture
def bare_database(database_server: DatabaseServer) -> Iterator[Database]:
    """A database without any table, for this test alone."""
    with database_server.bare() as database:
        yield database
