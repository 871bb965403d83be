"""How a subscription fares: what waits, what arrived, what did not, and how fast and why, from a bounded sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.db.ids import first_id
from service.errors import NotFound

# Attempts are looked up for so many of the newest deliveries only: the figures of a busy week must not cost a week.
SAMPLED_DELIVERIES = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """What the attempts of the newest ended deliveries came to; durations in milliseconds, None without attempts."""

    deliveries: int
    attempts: int
    failures: Mapping[str, int]
    duration_ms_p50: int | None
    duration_ms_p95: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    """What is undone now, and what became of the deliveries that were made since a time."""

    pending: int
    oldest_pending_at: datetime | None
    delivered: int
    dead: int
    attempts: int
    sample: Sample


async def subscription_stats(database: Database, client: str, subscription_id: UUID, since: datetime) -> Stats:
    """The figures of the client's subscription; NotFound when there is none."""
    values = {"client": client, "subscription_id": subscription_id, "first": first_id(since)}
    rows = await database.statement(_COUNTS, values)
    if not rows:
        raise NotFound("There is no such subscription.")
    sample = await database.statement(_SAMPLE, values | {"most": SAMPLED_DELIVERIES})
    return Stats(**rows[0]._mapping, sample=_sample(sample[0]._mapping))


def _sample(row: RowMapping) -> Sample:
    p50, p95 = row["durations_ms"] or (None, None)
    return Sample(row["deliveries"], row["attempts"], row["failures"] or {}, p50, p95)


_IDS = tuple(bindparam(name, type_=pg.UUID(as_uuid=True)) for name in ("subscription_id", "first"))
_COUNTS = text("""
    SELECT undone.*, done.* FROM subscriptions s
    CROSS JOIN LATERAL (
        SELECT count(*) AS pending, min(created_at) AS oldest_pending_at FROM (
            SELECT created_at FROM deliveries WHERE subscription_id = s.id AND claim_id IS NULL
            UNION ALL SELECT created_at FROM deliveries WHERE subscription_id = s.id AND claim_id IS NOT NULL
        ) AS both_kinds
    ) undone
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE r.state = 'delivered') AS delivered,
            count(*) FILTER (WHERE r.state = 'dead') AS dead, COALESCE(sum(r.attempts), 0) AS attempts
        FROM delivery_results r WHERE r.subscription_id = s.id AND r.id >= :first
    ) done
    WHERE s.id = :subscription_id AND s.client = :client
""").bindparams(*_IDS)
# The attempts of a delivery are made after it, so their ids are no smaller than those of the day that it came on.
_SAMPLE = text("""
    WITH newest AS MATERIALIZED (
        SELECT id FROM delivery_results WHERE subscription_id = :subscription_id AND id >= :first
        ORDER BY id DESC LIMIT :most
    ), attempt AS MATERIALIZED (
        SELECT a.duration_ms, a.error_class FROM newest CROSS JOIN LATERAL (
            SELECT duration_ms, error_class FROM delivery_attempts
            WHERE delivery_id = newest.id AND id >= :first LIMIT 100
        ) a
    )
    SELECT (SELECT count(*) FROM newest) AS deliveries, (SELECT count(*) FROM attempt) AS attempts,
        (SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY duration_ms) FROM attempt) AS durations_ms,
        (SELECT json_object_agg(error_class, times) FROM (
            SELECT error_class, count(*) AS times FROM attempt WHERE error_class IS NOT NULL GROUP BY error_class
        ) AS counted) AS failures
""").bindparams(*_IDS)
