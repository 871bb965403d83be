"""Claims due deliveries and stores what came of them: one statement each, however large the batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, assert_never
from uuid import UUID, uuid4

from sqlalchemy import Row, text

from service.db.engine import Database
from service.subscribers.retry import Answer, Delivered, GiveUp, Retry, Verdict

# How many due rows a claim looks at for each that it may take, in search of other subscriptions than the first.
WINDOW_FACTOR = 8


@dataclass(frozen=True, slots=True)
class Target:
    """What to post, where, and signed with which secrets."""

    url: str
    secrets: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """There is nothing to send: dropped, for the subscription was deleted, or dead, for it was disabled."""

    state: Literal["dropped", "dead"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that is ours until its lease ends; `at` is the database's time of the claim."""

    id: UUID
    claim_id: UUID
    event_id: UUID
    subscription_id: UUID
    attempt: int
    at: datetime
    target: Target | Undeliverable


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a claim; without an answer there was no attempt."""

    claim: Claim
    fate: Verdict | Undeliverable
    answer: Answer | None = None


def room(free: int, held: int) -> int:
    """How many of the `free` places a subscription may take that holds `held` already; the first is never denied.

    Nobody takes more than is left free afterwards: alone a subscription gets half of all places, and n slow ones, once
    each has waited for its first timeouts, leave one place in n + 1 to the others.
    """
    return max(0 if held else 1, (free - held) // 2)


async def claim_due(database: Database, free: int, in_flight: Mapping[UUID, int], lease_s: float) -> Sequence[Claim]:
    """Take up to `free` due deliveries for `lease_s` seconds, a fair share per subscription; commits.

    Several processes may claim at once: none sees what another one has. Each claim counts as an attempt, so that a
    notification at which processes die comes to an end too.
    """
    values = {
        "free": free,
        "window": free * WINDOW_FACTOR,
        "busy": list(in_flight),
        "rooms": [room(free, held) for held in in_flight.values()],
        "room_of_others": room(free, held=0),
        "claim_id": uuid4(),
        "lease_s": lease_s,
    }
    return [_claim(row) for row in await database.statement(_CLAIM, values)]


async def store_outcomes(database: Database, outcomes: Sequence[Outcome]) -> frozenset[UUID]:
    """Store a batch and return the ids of the deliveries that were still ours; commits.

    Safe to repeat. Where the lease ended meanwhile and another process has the delivery, nothing is written.
    """
    columns = [_columns(outcome) for outcome in outcomes]
    values = {name: [each[name] for each in columns] for name in columns[0]}
    return frozenset(row.id for row in await database.statement(_STORE, values))


def _claim(row: Row[Any]) -> Claim:
    return Claim(row.id, row.claim_id, row.event_id, row.subscription_id, row.attempts, row.at, _target(row))


def _target(row: Row[Any]) -> Target | Undeliverable:
    if row.url is None:
        return Undeliverable("dropped")
    if row.state != "active" or row.body is None:
        return Undeliverable("dead")
    return Target(row.url, (row.secret,), row.body.encode())


def _columns(outcome: Outcome) -> dict[str, object]:
    claim, answer = outcome.claim, outcome.answer
    return {
        "ids": claim.id,
        "claim_ids": claim.claim_id,
        "fates": _fate(outcome.fate),
        "waits_s": outcome.fate.in_s if isinstance(outcome.fate, Retry) else None,
        "started_at": claim.at,
        "durations_ms": answer and answer.duration_ms,
        "statuses": answer and answer.status,
        "error_classes": answer and answer.error_class,
        "errors": answer and answer.error,
        "answers": answer and answer.body,
    }


def _fate(fate: Verdict | Undeliverable) -> str:
    match fate:
        case Delivered():
            return "delivered"
        case Retry():
            return "retry"
        case GiveUp():
            return "gone" if fate.reason == "gone" else "dead"
        case Undeliverable():
            return fate.state
    assert_never(fate)


_CLAIM = text("""
    WITH busy AS (
        SELECT * FROM unnest(CAST(:busy AS uuid[]), CAST(:rooms AS int[])) AS b (subscription_id, room)
    ), due AS MATERIALIZED (
        SELECT d.id, d.subscription_id, d.due_at FROM deliveries d
        WHERE d.due_at <= now() AND NOT EXISTS (
            SELECT FROM busy WHERE busy.subscription_id = d.subscription_id AND busy.room = 0
        )
        ORDER BY d.due_at LIMIT :window FOR UPDATE OF d SKIP LOCKED
    ), ranked AS (
        SELECT due.*, row_number() OVER (PARTITION BY subscription_id ORDER BY due_at) AS place FROM due
    ), picked AS (
        SELECT ranked.id FROM ranked LEFT JOIN busy USING (subscription_id)
        WHERE place <= coalesce(busy.room, :room_of_others)
        ORDER BY place, due_at LIMIT :free
    ), claimed AS (
        UPDATE deliveries d
        SET claim_id = :claim_id, due_at = now() + make_interval(secs => :lease_s), attempts = d.attempts + 1
        FROM picked WHERE d.id = picked.id
        RETURNING d.id, d.claim_id, d.event_id, d.subscription_id, d.attempts
    )
    SELECT claimed.*, now() AS at, e.body, s.url, s.secret, s.state
    FROM claimed
    LEFT JOIN events e ON e.id = claimed.event_id
    LEFT JOIN subscriptions s ON s.id = claimed.subscription_id
""")

# A finished row leaves the table, one that waits gives up its claim: a second run of the statement finds nothing.
_STORE = text("""
    WITH outcome AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:claim_ids AS uuid[]), CAST(:fates AS text[]), CAST(:waits_s AS float8[]),
            CAST(:started_at AS timestamptz[]), CAST(:durations_ms AS int[]), CAST(:statuses AS int[]),
            CAST(:error_classes AS text[]), CAST(:errors AS text[]), CAST(:answers AS bytea[])
        ) AS o (id, claim_id, fate, wait_s, started_at, duration_ms, status, error_class, error, answer)
    ), done AS (
        DELETE FROM deliveries d USING outcome o WHERE d.id = o.id AND d.claim_id = o.claim_id AND o.fate <> 'retry'
        RETURNING d.id, d.event_id, d.subscription_id, d.attempts, d.created_at, o.fate, o.duration_ms IS NULL AS unsent
    ), waiting AS (
        UPDATE deliveries d SET due_at = now() + make_interval(secs => o.wait_s), claim_id = NULL
        FROM outcome o WHERE d.id = o.id AND d.claim_id = o.claim_id AND o.fate = 'retry'
        RETURNING d.id, d.attempts
    ), result AS (
        INSERT INTO delivery_results (id, event_id, subscription_id, state, attempts, created_at)
        SELECT id, event_id, subscription_id, CASE fate WHEN 'delivered' THEN fate ELSE 'dead' END,
               attempts - CAST(unsent AS int), created_at
        FROM done WHERE fate <> 'dropped'
    ), gone AS (
        SELECT id FROM subscriptions WHERE id IN (SELECT subscription_id FROM done WHERE fate = 'gone')
        ORDER BY id FOR UPDATE
    ), disabled AS (
        UPDATE subscriptions s SET state = 'disabled' FROM gone WHERE s.id = gone.id
    ), settled AS (
        SELECT id, attempts FROM done UNION ALL SELECT id, attempts FROM waiting
    ), attempt AS (
        INSERT INTO delivery_attempts
            (id, delivery_id, number, started_at, duration_ms, status, error_class, error, answer)
        SELECT gen_random_uuid(), o.id, settled.attempts, o.started_at, o.duration_ms, o.status, o.error_class, o.error,
               o.answer
        FROM settled JOIN outcome o USING (id) WHERE o.duration_ms IS NOT NULL
    )
    SELECT id FROM settled
""")
