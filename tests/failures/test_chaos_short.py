"""Two processes, an upstream in its worst mood, SIGKILL and SIGSTOP at random: the short form of `make chaos`."""

from tests.chaos.plan import ACTIVE_TASK_CAP, Plan
from tests.chaos.report import complaints, table
from tests.chaos.run import Parts, run
from tests.support.database import Database
from tests.support.processes import Programs
from tests.support.sandbox import StartSandbox

SETTLE_S = 40.0


def test_whatever_is_killed_or_frozen_nothing_is_paid_twice_and_every_task_ends_and_is_told(
    programs: Programs, own_database: Database, start_sandbox: StartSandbox
) -> None:
    plan = Plan(tasks=60, kills=5, seed=11)
    sandbox = start_sandbox({"SANDBOX_CREDITS": str(10**9)})

    findings = run(Parts(programs, own_database, sandbox), plan, SETTLE_S)

    shown = table(plan, findings)
    assert complaints(findings.violations) == "", shown
    assert (findings.fallen["kill"], findings.fallen["freeze"]) == (5, 1), shown
    assert findings.ledger["refused"].get("cut_accepted_after_charge"), shown
    assert findings.ledger["callbacks_lost"], shown
    assert findings.ledger["highest_open"] <= ACTIVE_TASK_CAP
