"""The verdict of chaos among deliveries finds every kind of broken promise; one that finds nothing proves nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from service.subscribers.signature import new_signing_secret, signed_headers, webhook_id
from tests.chaos_deliveries.plan import FAULT_KINDS, FaultKind, Plan
from tests.chaos_deliveries.receiver import How
from tests.chaos_deliveries.subscribers import Receipt
from tests.chaos_deliveries.verdict import Evidence, Fallen, violations

EVENT, OTHER = UUID(int=1), UUID(int=2)
SECRETS = {name: new_signing_secret() for name in ("steady", "leaving")}
AT = datetime(2026, 11, 1, tzinfo=UTC)
BODY = "{}"


def receipt(at_s: float = 5.0, *, name: str = "steady", how: How = "well", event: UUID = EVENT) -> Receipt:
    headers = signed_headers([SECRETS[name]], webhook_id(event), AT, BODY.encode())
    return Receipt(at_s, name, how, *headers.values())


def result(state: str = "delivered", name: str = "steady") -> dict[str, object]:
    return {"event_id": EVENT, "state": state, "attempts": 1, "name": name}


def fault(kind: FaultKind, at_s: float = 7.0, target: str = "process 0") -> Fallen:
    return Fallen(kind, target, at_s, at_s + 1)


GOOD = Evidence(
    acknowledged=frozenset({EVENT}),
    events=[{"id": EVENT, "body": BODY}],
    results=[result()],
    deliveries_left=[],
    receipts=[receipt()],
    faults=[],
    secrets=SECRETS,
    gone="leaving",
)
TWICE = replace(GOOD, receipts=[receipt(5.0), receipt(9.5)])

BROKEN: dict[str, Callable[[], Evidence]] = {
    "what was committed is there": lambda: replace(GOOD, acknowledged=frozenset({EVENT, OTHER})),
    "every event reaches its subscriber or is listed as dead": lambda: replace(GOOD, receipts=[receipt(how="hang")]),
    "a delivery that is listed as delivered was received": lambda: replace(GOOD, receipts=[]),
    "an event has one end per subscriber": lambda: replace(GOOD, results=[result(), result()]),
    "what comes is an event, signed, under its own webhook-id": lambda: replace(
        GOOD, events=[{"id": EVENT, "body": "another"}]
    ),
    "an event comes twice only after a fault": lambda: replace(TWICE, faults=[fault("kill", at_s=20.0)]),
    "nothing is left over": lambda: replace(GOOD, deliveries_left=[{"id": EVENT, "shown": "{}"}]),
}

ALLOWED: dict[str, Callable[[], Evidence]] = {
    "all went well": lambda: GOOD,
    "it is listed as dead": lambda: replace(GOOD, receipts=[receipt(how="error")], results=[result("dead")]),
    "it failed first": lambda: replace(GOOD, receipts=[receipt(4.0, how="error"), receipt(5.0)]),
    "it came again after a process was killed": lambda: replace(TWICE, faults=[fault("kill")]),
    "it came again after the database crashed": lambda: replace(TWICE, faults=[fault("crash database")]),
    "it came again after a slow answer of that subscriber": lambda: replace(
        TWICE, faults=[fault("slow", target="steady")]
    ),
    "the subscriber that left was told its last as dead": lambda: replace(
        GOOD, results=[result(), result("dead", "leaving")]
    ),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_found(promise: str) -> None:
    assert promise in {violation.promise for violation in violations(BROKEN[promise]())}


@pytest.mark.parametrize("what", ALLOWED)
def test_no_promise_is_broken_when(what: str) -> None:
    assert violations(ALLOWED[what]()) == []


def test_another_subscriber_being_slow_explains_no_duplicate() -> None:
    assert violations(replace(TWICE, faults=[fault("slow", target="leaving")])) != []


def test_a_plan_has_every_kind_of_fault_and_a_seed_makes_it_repeatable() -> None:
    plan = Plan(events=1200, seed=3, fault_every_s=1.3)

    assert {each.kind for each in plan.faults()} == set(FAULT_KINDS)
    assert plan.faults() == Plan(events=1200, seed=3, fault_every_s=1.3).faults()
    assert plan.faults() != replace(plan, seed=4).faults()
    assert all(each.at_s + each.lasts_s < plan.lasts_s for each in plan.faults())
