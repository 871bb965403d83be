"""Stores what came of claims: one statement, however large the batch, and nothing where the claim was lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from service.db.line import Line
from service.settings import Settings
from service.subscribers.claims import Claim, Undeliverable
from service.subscribers.outcome_sql import STORE
from service.subscribers.retry import Answer, Delivered, GiveUp, Retry, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a claim; without an answer there was no attempt."""

    claim: Claim
    fate: Verdict | Undeliverable
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The deliveries that were not ours any more, and the subscriptions that have been failing for too long."""

    lost: frozenset[UUID]
    failing: frozenset[UUID]


async def store_outcomes(line: Line, settings: Settings, outcomes: Sequence[Outcome]) -> Stored:
    """Store a batch and what it says about the subscriptions' health; commits.

    Safe to repeat. Where the lease ended meanwhile and another process has the delivery, nothing is written.
    """
    rows = await line.statement(STORE, _values(settings, outcomes))
    return Stored(
        lost=frozenset(row["id"] for row in rows if row["subscription_id"] is None),
        failing=frozenset(row["subscription_id"] for row in rows if row["subscription_id"] is not None),
    )


def fate_word(fate: Verdict | Undeliverable) -> str:
    """delivered, retry, dead, gone (dead, and the subscriber wants no more) or dropped."""
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


def _values(settings: Settings, outcomes: Sequence[Outcome]) -> dict[str, object]:
    columns = [_columns(outcome) for outcome in outcomes]
    return {name: [each[name] for each in columns] for name in columns[0]} | {
        "breaker_max_failures": settings.delivery_breaker_max_failures,
        "breaker_first_s": settings.delivery_breaker_first_s,
        "breaker_max_s": settings.delivery_breaker_max_s,
        "disable_after_s": settings.delivery_disable_after_s,
    }


def _columns(outcome: Outcome) -> dict[str, object]:
    claim, fate, answer = outcome.claim, outcome.fate, outcome.answer
    return {
        "ids": claim.id,
        "claim_ids": claim.claim_id,
        "fates": fate_word(fate),
        "waits_s": fate.in_s if isinstance(fate, Retry) else None,
        "rests_s": fate.rest_s if isinstance(fate, Retry) else None,
        "started_at": claim.at,
        "durations_ms": answer and answer.duration_ms,
        "statuses": answer and answer.status,
        "error_classes": answer and answer.error_class,
        "errors": answer and answer.error,
        "answers": answer and answer.body,
    }
