"""One run of chaos among deliveries: makes events, lets faults happen, waits for quiet, collects the evidence."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncpg
import httpx
from anyio.from_thread import start_blocking_portal

from service.subscribers.claims import LEASE_MARGIN_S
from tests.chaos.targets import Target
from tests.chaos.verdict import Violation
from tests.chaos_deliveries.database import CrashableServer
from tests.chaos_deliveries.emitter import Emitter
from tests.chaos_deliveries.faults import Faults, Parts
from tests.chaos_deliveries.plan import DELIVERY_TIMEOUT_S, SETTINGS, Plan
from tests.chaos_deliveries.subscribers import Subscribers
from tests.chaos_deliveries.verdict import Evidence, violations
from tests.support.database import Database
from tests.support.gateway import ALPHA_KEY, auth, environment_of
from tests.support.processes import Programs
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

LOOK_EVERY_S = 0.02
COUNT_EVERY_S = 0.25
READY_WITHIN_S = 60.0
GONE = "gone"
GONE_AT = 0.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run takes place in, started by whoever wants it."""

    programs: Programs
    server: CrashableServer
    database: Database
    sandbox: Sandbox


@dataclass(frozen=True, slots=True)
class Findings:
    """What came out: the evidence, the broken promises, and from when to when it all took."""

    evidence: Evidence
    began_at_s: float
    ended_at_s: float
    violations: list[Violation] = field(default_factory=list)


def run(surroundings: Surroundings, plan: Plan, settle_s: float) -> Findings:
    """Make events, do harm, settle; what is left so many seconds after that is a violation. Call it from main."""
    subscribers = Subscribers(surroundings.programs)
    with _targets(surroundings, plan) as targets, start_blocking_portal() as portal:
        names = [f"subscriber-{number}" for number in range(plan.subscriptions)]
        secrets = {name: _subscribe(targets[0], subscribers.open(name)) for name in [*names, GONE]}
        parts = Parts(targets, surroundings.server, surroundings.database, subscribers, names)
        faults = Faults(parts, plan.faults())
        emitter = Emitter(surroundings.database.url, plan)
        emitting = portal.start_task_soon(emitter.run)
        eventually(lambda: emitter.began_at_s, what="events are made")
        _make_trouble(plan, faults, emitter)
        _settle(parts, settle_s)
        portal.call(emitter.give_up)
        emitting.result(timeout=10)
        evidence = _evidence(surroundings.database, emitter, faults, secrets)
        found = violations(evidence) + [
            Violation("no process ends by itself", end) for target in targets for end in target.ended_by_itself
        ]
    subscribers.close()
    return Findings(evidence, emitter.began_at_s, time.monotonic(), found)


def _make_trouble(plan: Plan, faults: Faults, emitter: Emitter) -> None:
    """Until every fault is over and every event is made; half-way one subscriber goes for good."""
    never, gone = threading.Event(), False
    deadline_s = emitter.began_at_s + 3 * plan.lasts_s + READY_WITHIN_S
    while not (faults.is_over and emitter.is_done):
        assert time.monotonic() < deadline_s, "events or faults are left over"
        faults.tick(emitter.began_at_s)
        if not gone and time.monotonic() >= emitter.began_at_s + GONE_AT * plan.lasts_s:
            gone = True
            faults.parts.subscribers.behave(GONE, "gone")
        never.wait(LOOK_EVERY_S)


def _settle(parts: Parts, settle_s: float) -> None:
    """Wait until nothing is left, with a push for what waits for a distant retry or for a dead process's lease."""
    never, deadline_s = threading.Event(), time.monotonic() + settle_s
    while time.monotonic() < deadline_s:
        for target in parts.targets:
            target.tick()
        if _is_quiet(parts.database) and all(target.is_up for target in parts.targets):
            return
        never.wait(COUNT_EVERY_S)


def _is_quiet(database: Database) -> bool:
    try:
        database.execute(_PUSH_RETRIES)
        database.execute(_PUSH_LEASES)
        return not database.value("SELECT count(*) FROM deliveries")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # it may just have come back
        return False


@contextmanager
def _targets(surroundings: Surroundings, plan: Plan) -> Iterator[list[Target]]:
    targets: list[Target] = []
    try:
        for _ in range(plan.processes):
            environment = {**environment_of(surroundings.database, surroundings.sandbox), **SETTINGS}
            targets.append(Target(surroundings.programs, environment))

        def all_up() -> bool:
            for target in targets:
                target.tick()
            return all(target.is_up for target in targets)

        eventually(all_up, timeout_s=READY_WITHIN_S, what="all gateways are up")
        yield targets
    finally:
        for target in targets:
            target.close()


def _subscribe(target: Target, url: str) -> str:
    """Its secret."""
    answer = httpx.post(f"{target.url}/api/v1/subscriptions", json={"url": url}, headers=auth(ALPHA_KEY), timeout=10)
    return str(answer.raise_for_status().json()["secret"])


def _evidence(database: Database, emitter: Emitter, faults: Faults, secrets: Mapping[str, str]) -> Evidence:
    return Evidence(
        acknowledged=frozenset(emitter.acknowledged),
        events=database.rows("SELECT id, body FROM events WHERE type = 'task.succeeded' ORDER BY id"),
        results=database.rows(_RESULTS),
        deliveries_left=database.rows("SELECT id, to_jsonb(deliveries)::text AS shown FROM deliveries ORDER BY id"),
        receipts=faults.parts.subscribers.receipts(),
        faults=faults.fallen,
        secrets=secrets,
        gone=GONE,
    )


_PUSH_RETRIES = "UPDATE deliveries SET due_at = now() WHERE claim_id IS NULL AND due_at > now() + interval '1 s'"
# A claim that is older than any send can take belongs to a process that died.
_PUSH_LEASES = f"""
UPDATE deliveries SET lease_until = now() WHERE claim_id IS NOT NULL AND lease_until > now()
    AND lease_until < now() + interval '{LEASE_MARGIN_S:g} s' - interval '{DELIVERY_TIMEOUT_S:g} s'
"""
_RESULTS = """
SELECT event_id, r.state, attempts, regexp_replace(s.url, '.*/', '') AS name
FROM delivery_results r JOIN subscriptions s ON s.id = r.subscription_id
"""
