"""The verdict of a run of chaos finds every kind of broken promise; a check that finds nothing would prove nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import pytest

from service.subscribers.signature import webhook_id
from tests.chaos.buyers import Purchases
from tests.chaos.plan import Plan
from tests.chaos.verdict import Evidence, violations

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TASK, EVENT = UUID(int=1), UUID(int=2)
PLAN = Plan(tasks=40, kills=1, seed=1)
[ORDER] = islice((order for order in PLAN.orders() if not order.asset and order.client == "alpha"), 1)
CREATE = {
    "task_id": "up-1",
    "receive_url": f"http://127.0.0.1/callbacks/{TASK}/1.mac",
    "prompt": ORDER.prompt,
    "assets": [],
    "generations_count": 1,
    "credits": 980,
    "status": "done",
    "error_message": None,
}
ROW = {
    "id": TASK,
    "client_reference": ORDER.key,
    "state": "succeeded",
    "upstream_task_id": "up-1",
    "credits": 980,
    "image_count": 1,
    "error_code": None,
    "error_message": None,
    "ended_at": NOW,
    "reported_at": NOW,
}
TOLD = {"id": EVENT, "client": "alpha", "type": "task.succeeded", "task_id": TASK, "body": "{}"}
FAILED = {"state": "failed", "image_count": 0, "credits": None, "error_code": "x", "error_message": "content_policy"}

GOOD = Evidence(
    orders=[ORDER],
    purchases=Purchases(acknowledged={ORDER.key: str(TASK)}),
    creates=[CREATE],
    tasks=[ROW],
    events=[TOLD],
    deliveries_left=[],
    heard={"alpha/steady": {webhook_id(EVENT): b"{}"}, "beta/steady": {}},
)


def task(**changes: object) -> Evidence:
    return replace(GOOD, tasks=[ROW | changes])


def create(changes: dict[str, object]) -> Evidence:
    return replace(GOOD, creates=[CREATE | changes])


BROKEN: dict[str, Callable[[], Evidence]] = {
    "no task is paid twice": lambda: replace(GOOD, creates=[CREATE, CREATE | {"task_id": "up-2"}]),
    "every charged create is attached to its task": lambda: task(upstream_task_id=None),
    "an attached task carries the upstream's outcome": lambda: task(**FAILED),
    "what was sent is what was ordered": lambda: create({"assets": [{"sha256": "0"}]}),
    "an uncharged task failed with a reason": lambda: replace(GOOD, creates=[]),
    "every task ended": lambda: task(state="unknown"),
    "every order is acknowledged, as one task": lambda: replace(GOOD, purchases=Purchases()),
    "every end is told by one event": lambda: replace(GOOD, events=[]),
    "every subscriber got every terminal event": lambda: replace(GOOD, heard={"alpha/flaky": {}}),
}

ALLOWED: dict[str, Callable[[], Evidence]] = {
    "all went well": lambda: GOOD,
    "the upstream failed it": lambda: replace(
        task(**FAILED), creates=[CREATE | {"status": "error", "error_message": "content_policy: no"}]
    ),
    "its pictures came after it was given up": lambda: task(
        state="failed", error_code="submission_outcome_unknown", reported_at=NOW + timedelta(seconds=9)
    ),
    "it was never charged, and says why it failed": lambda: replace(task(**FAILED, upstream_task_id=None), creates=[]),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_found(promise: str) -> None:
    assert promise in {violation.promise for violation in violations(BROKEN[promise]())}


@pytest.mark.parametrize("what", ALLOWED)
def test_no_promise_is_broken_when(what: str) -> None:
    assert violations(ALLOWED[what]()) == []


def test_a_seed_makes_blows_and_orders_repeatable() -> None:
    again, other = Plan(tasks=40, kills=1, seed=1), Plan(tasks=40, kills=1, seed=2)

    assert (PLAN.blows(), list(PLAN.orders())) == (again.blows(), list(again.orders()))
    assert PLAN.blows() != other.blows()
