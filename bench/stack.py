"""The real parts that benchmarks run against: a durable Postgres, the sandbox, gateways with usual settings."""

import resource
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal

from service.demo import postgres
from tests.support.database import Database, migrate
from tests.support.gateway import Gateway, environment_of
from tests.support.postgres import ROOT
from tests.support.processes import Programs
from tests.support.sandbox import Sandbox

POSTGRES_DIR = ROOT / ".data" / "postgres-bench"
DATABASE_NAME = "gateway_bench"
LOG_CHARACTERS_SHOWN = 3000
NOTHING: Mapping[str, str] = MappingProxyType({})

# The sandbox at its best: it takes everything, never ends a task by itself and never calls back.
SANDBOX = {
    "SANDBOX_PORT": "0",
    "SANDBOX_CREDITS": str(10**12),
    "SANDBOX_MOODS": '{"active_task_cap": 0, "callbacks": "off", "duration_s": 86400}',
}
# Where the settings of the tests differ from those of a deployment. No task is due for a poll while a round runs.
AS_DEPLOYED = {
    "GATEWAY_DATABASE_POOL_SIZE": "10",
    "GATEWAY_POLL_FLOOR_S": "1",
    # More than any benchmark has open at once: slots are counted under the lock as always, and nothing waits.
    "GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "100000",
    "GATEWAY_RECONCILE_QUIET_S": "3600",
}


@dataclass(frozen=True, slots=True)
class Stack:
    """An empty migrated database on a server that waits for its disk, a sandbox, and what starts gateways on them."""

    programs: Programs
    database: Database
    sandbox: Sandbox

    def environment(self, changes: Mapping[str, str] = NOTHING) -> dict[str, str]:
        """Settings for a gateway on a free port."""
        return {**environment_of(self.database, self.sandbox), **AS_DEPLOYED, **changes}

    @contextmanager
    def gateway(self, role: str, changes: Mapping[str, str] = NOTHING) -> Iterator[Gateway]:
        """A gateway process that is ready, stopped after the block."""
        gateway = Gateway(self.programs, self.database, self.environment(changes), role)
        try:
            gateway.wait_until_ready()
            yield gateway
        finally:
            gateway.close()
            gateway.program.kill()


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Everything but the gateway, gone after the block; when the block raises, the logs' ends are printed first."""
    raise_file_limit()
    with ExitStack() as resources:
        directory = resources.enter_context(tempfile.TemporaryDirectory(prefix="image-gateway-bench-"))
        server = resources.enter_context(postgres.running(POSTGRES_DIR, durable=True))
        portal = resources.enter_context(start_blocking_portal())
        database = Database(urlsplit(server.url)._replace(path=f"/{DATABASE_NAME}").geturl(), portal)
        resources.callback(database.close)
        _create_database(Database(server.url, portal))
        migrate(database.url)
        programs = Programs(Path(directory))
        resources.callback(programs.kill_all)
        sandbox = Sandbox(programs.start("sandbox", ["service.sandbox"], SANDBOX))
        resources.callback(sandbox.api.close)
        try:
            yield Stack(programs, database, sandbox)
        except BaseException:
            _show_logs(programs)
            raise


def raise_file_limit() -> None:
    """Every connection is an open file, in this process and in those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _create_database(admin: Database) -> None:
    """Anew, whatever a former run left."""
    admin.execute(f"DROP DATABASE IF EXISTS {DATABASE_NAME} WITH (FORCE)")
    admin.execute(f"CREATE DATABASE {DATABASE_NAME}")
    admin.close()


def _show_logs(programs: Programs) -> None:
    for program in programs.started:
        print(f"-- end of the log of {program.name}\n{program.log()[-LOG_CHARACTERS_SHOWN:]}", file=sys.stderr)
