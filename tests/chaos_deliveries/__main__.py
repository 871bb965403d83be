"""`python -m tests.chaos_deliveries --events 10000 --seed 7`: status 1, with the ids, when a promise was broken."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from tests.chaos.report import complaints
from tests.chaos_deliveries.database import crashable_server
from tests.chaos_deliveries.plan import Plan
from tests.chaos_deliveries.report import table
from tests.chaos_deliveries.run import Surroundings, run
from tests.support.database import DatabaseServer
from tests.support.postgres import TestRun
from tests.support.processes import Programs
from tests.support.sandbox import Sandbox


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser("python -m tests.chaos_deliveries")
    parser.add_argument("--events", type=int, default=10_000, help="events that are made (default 10000)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same faults (default 7)")
    parser.add_argument("--settle-s", type=float, default=60.0, help="how long after the last fault all must be told")
    wanted = parser.parse_args()
    plan = Plan(wanted.events, wanted.seed)
    with tempfile.TemporaryDirectory(prefix="chaos-deliveries-") as directory, surroundings(Path(directory)) as parts:
        findings = run(parts, plan, wanted.settle_s)
    print(table(plan, findings))
    print(complaints(findings.violations), end="\n" if findings.violations else "")
    return int(bool(findings.violations))


@contextmanager
def surroundings(directory: Path) -> Iterator[Surroundings]:
    """A database server of the run's own, a sandbox, and a place for processes. Call it from the main thread."""
    with ExitStack() as stack:
        server = stack.enter_context(crashable_server(directory / "postgres"))
        portal = stack.enter_context(start_blocking_portal())
        databases = DatabaseServer(TestRun(server.url, "chaos", str(directory)), portal)
        stack.callback(databases.close)
        database = stack.enter_context(databases.migrated())
        programs = Programs(directory)
        stack.callback(programs.kill_all)
        sandbox = Sandbox(programs.start("sandbox", ["service.sandbox"], {"SANDBOX_PORT": "0"}))
        stack.callback(sandbox.api.close)
        yield Surroundings(programs, server, database, sandbox)


if __name__ == "__main__":
    sys.exit(main())
