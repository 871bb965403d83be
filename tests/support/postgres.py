"""One PostgreSQL server for a whole test run: a private one, or the one that GATEWAY_DATABASE_URL names."""

import asyncio
import os
import shutil
import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import pytest

from service.demo import postgres
from service.demo.postgres_home import PostgresUnavailable

ROOT = Path(__file__).parents[2]
PARALLEL_RUNS = 16


@dataclass(frozen=True)
class TestRun:
    """What all workers of one run share: the server, a prefix for database names, a directory for locks and logs."""

    __test__ = False
    server_url: str
    prefix: str
    directory: str


class RunOwner:
    """Held by the process that outlives all workers; the server starts when it is first asked for."""

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._run: TestRun | None = None

    def run(self) -> TestRun:
        """The run, with a server that answers."""
        if self._run is None:
            directory = tempfile.mkdtemp(prefix="image-gateway-tests-")
            self._resources.callback(shutil.rmtree, directory, ignore_errors=True)
            prefix = f"gateway_test_{uuid.uuid4().hex[:8]}"
            if given := os.environ.get("GATEWAY_DATABASE_URL"):
                self._resources.callback(lambda: asyncio.run(drop_databases(given, prefix)))
            self._run = TestRun(given or self._start_server(), prefix, directory)
        return self._run

    def close(self) -> None:
        """Stop the server and remove what the run left on disk."""
        self._resources.close()

    def _start_server(self) -> str:
        """Runs may go on side by side: each takes the first directory that no other one uses."""
        for slot in range(PARALLEL_RUNS):
            data_dir = ROOT / ".data" / f"postgres-tests-{slot}"
            try:
                server = self._resources.enter_context(postgres.running(data_dir, durable=False, wait_s=0))
            except PostgresUnavailable as error:
                if "in use" in str(error):
                    continue
                raise
            return server.url
        raise PostgresUnavailable(f"{PARALLEL_RUNS} test runs are going on already")


async def drop_databases(server_url: str, prefix: str) -> None:
    """A server that is not ours gets its databases back as they were."""
    connection = await asyncpg.connect(server_url)
    try:
        for row in await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix):
            await connection.execute(f"DROP DATABASE IF EXISTS {row['datname']} WITH (FORCE)")
    finally:
        await connection.close()


OWNER = pytest.StashKey[RunOwner]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    config.stash[OWNER] = RunOwner()
    if config.getoption("numprocesses", None):  # a worker's server would end with that worker
        config.stash[OWNER].run()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    node.workerinput["test_run"] = asdict(node.config.stash[OWNER].run())  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    if OWNER in config.stash:
        config.stash[OWNER].close()


@pytest.fixture(scope="session")
def test_run(request: pytest.FixtureRequest) -> TestRun:
    """This run's server and names, the same for all workers."""
    worker_input = getattr(request.config, "workerinput", None)
    return TestRun(**worker_input["test_run"]) if worker_input else request.config.stash[OWNER].run()
