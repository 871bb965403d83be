"""`python -m tests.chaos --tasks 1000 --kills 50 --seed 7`: status 1, with the ids, when a promise was broken."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from tests.chaos.plan import Plan
from tests.chaos.report import complaints, table
from tests.chaos.run import Parts, run
from tests.support.database import DatabaseServer
from tests.support.postgres import RunOwner
from tests.support.processes import Programs
from tests.support.sandbox import Sandbox

SANDBOX = {"SANDBOX_PORT": "0", "SANDBOX_CREDITS": str(10**12)}


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser("python -m tests.chaos")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks that clients want (default 1000)")
    parser.add_argument("--kills", type=int, default=50, help="how often a process is killed (default 50)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed deals the same blows (default 7)")
    parser.add_argument(
        "--settle-s", type=float, default=240.0, help="how long after the last blow all must have ended"
    )
    parser.add_argument("--logs", type=Path, default=None, help="keep the logs of all processes below this folder")
    wanted = parser.parse_args()
    plan = Plan(wanted.tasks, wanted.kills, wanted.seed)
    with _parts(wanted.logs) as parts:
        findings = run(parts, plan, wanted.settle_s)
    print(table(plan, findings))
    print(complaints(findings.violations), end="\n" if findings.violations else "")
    return int(bool(findings.violations))


@contextmanager
def _parts(logs: Path | None) -> Iterator[Parts]:
    with ExitStack() as stack:
        owner = RunOwner()
        stack.callback(owner.close)
        directory = _fresh(logs) if logs else Path(owner.run().directory)
        server = DatabaseServer(owner.run(), stack.enter_context(start_blocking_portal()))
        stack.callback(server.close)
        database = stack.enter_context(server.migrated())
        programs = Programs(directory)
        stack.callback(programs.kill_all)
        sandbox = Sandbox(programs.start("sandbox", ["service.sandbox"], SANDBOX))
        stack.callback(sandbox.api.close)
        yield Parts(programs, database, sandbox)


def _fresh(logs: Path) -> Path:
    logs.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="chaos-", dir=logs))


if __name__ == "__main__":
    sys.exit(main())
