"""Holds what the gateway stored and told against the sandbox's ledger: every rule that was broken, with the ids."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.subscribers.signature import webhook_id
from tests.chaos.buyers import PNG, Purchases
from tests.chaos.plan import Order

FINAL = frozenset({"succeeded", "failed", "canceled"})
TERMINAL_EVENTS = frozenset({"task.succeeded", "task.failed", "task.canceled", "task.result_late"})
ENDS = TERMINAL_EVENTS - {"task.result_late"}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which one, and of which task, order or event."""

    promise: str
    about: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known at the end: the ledger's creates, the gateway's rows, what clients and subscribers heard.

    `heard` maps each subscriber (`client/name`) to the bodies it got, by webhook-id.
    """

    orders: Sequence[Order]
    purchases: Purchases
    creates: Sequence[Row]
    tasks: Sequence[Row]
    events: Sequence[Row]
    deliveries_left: Sequence[Row]
    heard: Mapping[str, Mapping[str, bytes]]

    def task_of(self, create: Row) -> str:
        """The task that a charged create was made for: its receive_url names it."""
        return str(create["receive_url"]).split("/callbacks/")[1].split("/")[0]


def violations(evidence: Evidence) -> list[Violation]:
    """Every broken promise; none is what the run is for."""
    checks: tuple[tuple[str, Callable[[Evidence], Iterator[str]]], ...] = (
        ("no task is paid twice", _paid_twice),
        ("every charged create is attached to its task", _unattached),
        ("an attached task carries the upstream's outcome", _wrong_outcome),
        ("what was sent is what was ordered", _altered),
        ("an uncharged task failed with a reason", _unreasoned),
        ("every task ended", _open),
        ("every order is acknowledged, as one task", _unacknowledged),
        ("every end is told by one event", _untold),
        ("every subscriber got every terminal event", _unheard),
    )
    return [Violation(promise, about) for promise, check in checks for about in check(evidence)]


def _paid_twice(evidence: Evidence) -> Iterator[str]:
    by_task = Counter(evidence.task_of(create) for create in evidence.creates)
    by_prompt = Counter(create["prompt"] for create in evidence.creates)
    yield from (f"task {task_id}: {times} creates" for task_id, times in by_task.items() if times > 1)
    yield from (f"order {prompt}: {times} creates" for prompt, times in by_prompt.items() if times > 1)


def _unattached(evidence: Evidence) -> Iterator[str]:
    tasks = {str(task["id"]): task for task in evidence.tasks}
    for create in evidence.creates:
        task = tasks.get(evidence.task_of(create))
        if task is None or task["upstream_task_id"] != create["task_id"]:
            yield f"create {create['task_id']} of {_shown(task) if task else 'a task without a row'}"


def _wrong_outcome(evidence: Evidence) -> Iterator[str]:
    creates = {create["task_id"]: create for create in evidence.creates}
    for task in evidence.tasks:
        create = creates.get(task["upstream_task_id"])
        if create is not None and not _carries(task, create):
            yield f"{_shown(task)}, but its create {create['task_id']} is {create['status']}"


def _carries(task: Row, create: Row) -> bool:
    """The pictures and the price of what was done (late ones too), the error of what failed."""
    if create["status"] == "done":
        has_all = task["image_count"] == create["generations_count"] and task["credits"] == create["credits"]
        return has_all and (task["state"] == "succeeded" or _is_late(task))
    code = str(create["error_message"]).partition(":")[0]
    return task["state"] == "failed" and (_is_late(task) or code in f"{task['error_code']} {task['error_message']}")


def _is_late(task: Row) -> bool:
    """The gateway had given it up before the upstream's word came; that word was taken all the same."""
    return task["state"] == "failed" and task["reported_at"] is not None and task["ended_at"] < task["reported_at"]


def _altered(evidence: Evidence) -> Iterator[str]:
    orders = {order.prompt: order for order in evidence.orders}
    for create in evidence.creates:
        order = orders.get(create["prompt"])
        assets = [hashlib.sha256(PNG + order.asset).hexdigest()] if order and order.asset else []
        if order is None or [asset["sha256"] for asset in create["assets"]] != assets:
            yield f"create {create['task_id']}: {create['prompt']!r} with {len(create['assets'])} assets"


def _unreasoned(evidence: Evidence) -> Iterator[str]:
    charged = {evidence.task_of(create) for create in evidence.creates}
    for task in evidence.tasks:
        is_failed = task["state"] == "failed" and task["error_code"] and task["error_message"]
        if str(task["id"]) not in charged and task["state"] in FINAL and not is_failed:
            yield _shown(task)


def _open(evidence: Evidence) -> Iterator[str]:
    yield from (_shown(task) for task in evidence.tasks if task["state"] not in FINAL)


def _unacknowledged(evidence: Evidence) -> Iterator[str]:
    purchases, known = evidence.purchases, {str(task["id"]) for task in evidence.tasks}
    yield from purchases.contradictions
    yield from (f"{key}: {answer}" for key, answer in purchases.refused.items())
    for order in evidence.orders:
        task_id = purchases.acknowledged.get(order.key)
        if task_id is None and order.key not in purchases.refused:
            yield f"{order.key}: no answer that counts"
        elif task_id is not None and task_id not in known:
            yield f"{order.key}: task {task_id} is not there"


def _untold(evidence: Evidence) -> Iterator[str]:
    ends = Counter(str(event["task_id"]) for event in evidence.events if event["type"] in ENDS)
    for task in evidence.tasks:
        if task["state"] in FINAL and ends[str(task["id"])] != 1:
            yield f"{_shown(task)}: {ends[str(task['id'])]} events"


def _unheard(evidence: Evidence) -> Iterator[str]:
    terminal = [event for event in evidence.events if event["type"] in TERMINAL_EVENTS]
    for subscriber, heard in evidence.heard.items():
        client = subscriber.partition("/")[0]
        for event in terminal:
            if event["client"] == client and heard.get(webhook_id(event["id"])) != event["body"].encode():
                yield f"{subscriber}: {event['type']} {event['id']} of task {event['task_id']}"
    yield from (f"delivery {row['id']} is {row['state']}" for row in evidence.deliveries_left)


def _shown(task: Row) -> str:
    return f"task {task['id']} ({task['client_reference']}), {task['state']} {task['error_code'] or ''}".rstrip()


def by_promise(found: Sequence[Violation]) -> Iterator[tuple[str, list[str]]]:
    """The violations under the promise that each breaks."""
    for promise in dict.fromkeys(violation.promise for violation in found):
        yield promise, [violation.about for violation in found if violation.promise == promise]
