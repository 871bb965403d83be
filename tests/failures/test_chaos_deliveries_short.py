"""Notifications while processes, the database and subscribers fail: the short form of `make chaos-deliveries`."""

from pathlib import Path

from tests.chaos.report import complaints
from tests.chaos_deliveries.__main__ import surroundings
from tests.chaos_deliveries.plan import FAULT_KINDS, Plan
from tests.chaos_deliveries.report import table
from tests.chaos_deliveries.run import run

SETTLE_S = 30.0


def test_whatever_fails_every_event_reaches_its_subscribers_or_is_listed_as_dead(tmp_path: Path) -> None:
    plan = Plan(events=700, seed=5, fault_every_s=0.75, lasts_max_s=0.6)

    with surroundings(tmp_path) as parts:
        findings = run(parts, plan, SETTLE_S)

    shown = table(plan, findings)
    assert complaints(findings.violations) == "", shown
    assert {fault.kind for fault in findings.evidence.faults} == set(FAULT_KINDS), shown
    assert any(row["state"] == "dead" for row in findings.evidence.results), shown
