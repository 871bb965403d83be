"""Holds what subscribers received against what was committed: every promise that was broken, with the ids."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

from service.subscribers.signature import signed_headers, webhook_id
from tests.chaos.verdict import Row, Violation
from tests.chaos_deliveries.plan import FaultKind
from tests.chaos_deliveries.subscribers import Receipt

# What a fault disturbs: a request that was under way when it came, and what was sent right after it.
BEFORE_S = 0.5
AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Fallen:
    """A fault as it was: its kind, whom it struck, and from when to when (monotonic seconds)."""

    kind: FaultKind
    target: str
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known at the end. `secrets` are the subscribers' by name; `gone` is the one that was disabled."""

    acknowledged: frozenset[UUID]
    events: Sequence[Row]
    results: Sequence[Row]
    deliveries_left: Sequence[Row]
    receipts: Sequence[Receipt]
    faults: Sequence[Fallen]
    secrets: Mapping[str, str]
    gone: str

    def taken(self) -> dict[tuple[str, str], list[float]]:
        """When each subscriber took each webhook-id; more than one moment are duplicates."""
        moments: dict[tuple[str, str], list[float]] = defaultdict(list)
        for receipt in self.receipts:
            if receipt.is_taken:
                moments[receipt.name, receipt.webhook_id].append(receipt.at_s)
        return moments


def violations(evidence: Evidence) -> list[Violation]:
    """Every broken promise; none is what the run is for."""
    checks: tuple[tuple[str, Callable[[Evidence], Iterator[str]]], ...] = (
        ("what was committed is there", _lost),
        ("every event reaches its subscriber or is listed as dead", _unheard),
        ("a delivery that is listed as delivered was received", _invented),
        ("an event has one end per subscriber", _ended_twice),
        ("what comes is an event, signed, under its own webhook-id", _forged),
        ("an event comes twice only after a fault", _twice_for_nothing),
        ("nothing is left over", _left),
    )
    return [Violation(promise, about) for promise, check in checks for about in check(evidence)]


def _lost(evidence: Evidence) -> Iterator[str]:
    stored = {event["id"] for event in evidence.events}
    yield from (f"event {event_id}" for event_id in evidence.acknowledged - stored)


def _unheard(evidence: Evidence) -> Iterator[str]:
    """The subscriber that was disabled has no part in what came later, so only what was begun for it counts."""
    taken = evidence.taken().keys()
    dead = {(row["name"], row["event_id"]) for row in evidence.results if row["state"] == "dead"}
    ends = {(row["name"], row["event_id"]) for row in evidence.results}
    for event in evidence.events:
        for name in evidence.secrets:
            is_wanted = name != evidence.gone or (name, event["id"]) in ends
            is_told = (name, webhook_id(event["id"])) in taken or (name, event["id"]) in dead
            if is_wanted and not is_told:
                yield f"{name}: event {event['id']}"


def _invented(evidence: Evidence) -> Iterator[str]:
    taken = evidence.taken().keys()
    for row in evidence.results:
        if row["state"] == "delivered" and (row["name"], webhook_id(row["event_id"])) not in taken:
            yield f"{row['name']}: event {row['event_id']}"


def _ended_twice(evidence: Evidence) -> Iterator[str]:
    ends = Counter((row["name"], row["event_id"]) for row in evidence.results)
    yield from (f"{name}: event {event_id} {times} times" for (name, event_id), times in ends.items() if times > 1)


def _forged(evidence: Evidence) -> Iterator[str]:
    """The signature covers id, time and body, so it is right only if all three are those of one event."""
    bodies = {webhook_id(event["id"]): event["body"].encode() for event in evidence.events}
    for receipt in evidence.receipts:
        body = bodies.get(receipt.webhook_id)
        at = datetime.fromtimestamp(int(receipt.timestamp or "0"), UTC)
        secret = evidence.secrets[receipt.name]
        if body is None or receipt.signature != signed_headers([secret], receipt.webhook_id, at, body)[_SIGNATURE]:
            yield f"{receipt.name}: {receipt.webhook_id}"


_SIGNATURE = "webhook-signature"


def _twice_for_nothing(evidence: Evidence) -> Iterator[str]:
    for (name, event), moments in evidence.taken().items():
        for first, again in pairwise(moments):
            if not any(_explains(fault, name, first, again) for fault in evidence.faults):
                yield f"{name}: {event} again after {again - first:.2f} s"


def _explains(fault: Fallen, name: str, first: float, again: float) -> bool:
    """A fault of the gateway's or its database's between the two, or an answer that may have come too late."""
    if fault.kind == "slow" and fault.target != name:
        return False
    is_ours = fault.kind in {"kill", "crash database", "cut backends", "slow"}
    return is_ours and fault.began_s - BEFORE_S <= again and first <= fault.ended_s + AFTER_S


def _left(evidence: Evidence) -> Iterator[str]:
    yield from (f"delivery {row['id']}: {row['shown']}" for row in evidence.deliveries_left)
