"""One run of chaos: starts all, lets the blows fall while clients buy, waits for quiet, collects the evidence."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.chaos.buyers import KEYS, Buyers
from tests.chaos.plan import MOODS, SETTINGS, Plan
from tests.chaos.targets import Firing, Target
from tests.chaos.verdict import Evidence, Violation, violations
from tests.support.database import Database
from tests.support.gateway import auth, environment_of
from tests.support.processes import Programs
from tests.support.receiver import Answer, Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

COUNT_EVERY_S = 0.2
READY_WITHIN_S = 60.0
BLOWS_WITHIN_S = 3600.0
FLAKY_RATE = 0.1
EVENT_TYPES = ["task.succeeded", "task.failed", "task.canceled", "task.result_late"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of, started by whoever wants the run: one database, one sandbox, a place for processes."""

    programs: Programs
    database: Database
    sandbox: Sandbox


@dataclass(frozen=True, slots=True)
class Findings:
    """What came out: the evidence, the broken promises, and the figures of the run."""

    evidence: Evidence
    ledger: Mapping[str, Any]
    fallen: Counter[str]
    seconds: float
    violations: list[Violation] = field(default_factory=list)


class Progress:
    """How far the run is, from 0 to 1: half is that all is acknowledged, the other half that all has ended."""

    def __init__(self, database: Database, buyers: Buyers, plan: Plan) -> None:
        self._database, self._buyers, self._plan = database, buyers, plan
        self._counted_at_s = 0.0
        self._ended = 0
        self._undone = 1

    def so_far(self) -> float:
        """Counted anew a few times a second."""
        self._count()
        return (len(self._buyers.purchases.acknowledged) + self._ended) / (2 * self._plan.tasks)

    def nothing_is_left(self) -> bool:
        """No task is open, no delivery undone."""
        self._count()
        return self._undone == 0

    def _count(self) -> None:
        if time.monotonic() < self._counted_at_s + COUNT_EVERY_S:
            return
        [row] = self._database.rows(_COUNT)
        self._ended, self._undone = row["ended"], row["open"] + row["deliveries"]
        self._counted_at_s = time.monotonic()


def run(parts: Parts, plan: Plan, settle_s: float) -> Findings:
    """Buy, strike, settle; what is not settled so many seconds after the blows is a violation. Call it from main."""
    began_s = time.monotonic()
    parts.sandbox.moods({**MOODS, "seed": plan.seed})
    with (
        _targets(parts, plan) as targets,
        _subscribers(targets[0], plan) as receivers,
        start_blocking_portal() as portal,
    ):
        buyers = Buyers([target.url for target in targets], plan.seed)
        firing = Firing(targets, parts.sandbox, plan.blows())
        progress = Progress(parts.database, buyers, plan)
        orders = list(plan.orders())
        buying = portal.start_task_soon(buyers.buy, orders)
        _until_quiet(firing, buying, progress, settle_s)
        _end(portal, buyers, buying)
        evidence = Evidence(
            orders=orders,
            purchases=buyers.purchases,
            creates=parts.sandbox.ledger()["creates"],
            tasks=parts.database.rows(_TASKS),
            events=parts.database.rows(_EVENTS),
            deliveries_left=parts.database.rows(_DELIVERIES_LEFT),
            heard={name: _heard(receiver) for name, receiver in receivers.items()},
        )
        found = violations(evidence) + [
            Violation("no process ends by itself", end) for target in targets for end in target.ended_by_itself
        ]
    return Findings(evidence, parts.sandbox.ledger(), firing.fallen, time.monotonic() - began_s, found)


def _until_quiet(firing: Firing, buying: "Future[None]", progress: Progress, settle_s: float) -> None:
    """While blows fall there is always something to do; from then on the clock runs."""
    firing.run_until(lambda: True, progress.so_far, BLOWS_WITHIN_S)
    firing.run_until(lambda: buying.done() and progress.nothing_is_left(), progress.so_far, settle_s)


def _end(portal: BlockingPortal, buyers: Buyers, buying: "Future[None]") -> None:
    portal.call(buyers.give_up)
    buying.result(timeout=30)


@contextmanager
def _targets(parts: Parts, plan: Plan) -> Iterator[list[Target]]:
    with ExitStack() as stack:
        targets = []
        for _ in range(plan.processes):
            environment = {**environment_of(parts.database, parts.sandbox), **SETTINGS}
            targets.append(Target(parts.programs, environment))
            stack.callback(targets[-1].close)
        eventually(partial(_all_up, targets), timeout_s=READY_WITHIN_S, what="all gateways are up")
        yield targets


def _all_up(targets: list[Target]) -> bool:
    for target in targets:
        target.tick()
    return all(target.is_up for target in targets)


@contextmanager
def _subscribers(target: Target, plan: Plan) -> Iterator[dict[str, Receiver]]:
    """Two subscribers for each client, of which one is out of order now and then."""
    chance = random.Random(f"{plan.seed} subscribers")
    with ExitStack() as stack:
        receivers = {f"{client}/{kind}": stack.enter_context(Receiver()) for client in KEYS for kind in _KINDS}
        for name, receiver in receivers.items():
            client, _, kind = name.partition("/")
            if kind == "flaky":
                receiver.answer(*(Answer(503 if chance.random() < FLAKY_RATE else 204) for _ in range(4 * plan.tasks)))
            wanted = {"url": receiver.url, "event_types": EVENT_TYPES}
            httpx.post(
                f"{target.url}/api/v1/subscriptions", json=wanted, headers=auth(KEYS[client]), timeout=10
            ).raise_for_status()
        yield receivers


def _heard(receiver: Receiver) -> dict[str, bytes]:
    """The bodies by webhook-id, as the subscriber knows them."""
    heard = [({name.lower(): value for name, value in each.headers.items()}, each.body) for each in receiver.received()]
    return {headers["webhook-id"]: body for headers, body in heard}


_KINDS = ("steady", "flaky")
_OPEN = "state NOT IN ('succeeded', 'failed', 'canceled')"
_COUNT = f"""
SELECT (SELECT count(*) FROM tasks WHERE NOT {_OPEN}) AS ended, (SELECT count(*) FROM tasks WHERE {_OPEN}) AS open,
    (SELECT count(*) FROM deliveries) AS deliveries
"""
_TASKS = """
SELECT id, client, state, upstream_task_id, credits, jsonb_array_length(images) AS image_count, error_code,
    error_message, client_reference, ended_at, reported_at
FROM tasks ORDER BY id
"""
_EVENTS = "SELECT id, client, type, task_id, body FROM events ORDER BY id"
_DELIVERIES_LEFT = """
SELECT id, 'undone' AS state FROM deliveries UNION ALL SELECT id, state FROM delivery_results WHERE state = 'dead'
"""
