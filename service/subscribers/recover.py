"""Recovering a subscription: a job that sends its events since a time again is started, watched and canceled here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.engine import Database
from service.db.ids import first_id, last_id, new_id
from service.errors import NotFound
from service.subscribers.errors import RecoveryEnded, RecoveryRunning, SubscriptionDisabled
from service.subscribers.missing_events import MISSING_CTES, missing_binds

RecoveryState = Literal["running", "done", "canceled"]

# The place before the first event: no transaction has this id.
BEFORE_ALL = -1


@dataclass(frozen=True, slots=True)
class Span:
    """What to send again: the events of a time, by their ids; without those that were delivered if `only_failed`."""

    since: datetime
    until: datetime
    only_failed: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """The job as it stands at `at`: of all the client's events in its time, how many it has looked at and sent."""

    id: UUID
    subscription_id: UUID
    state: RecoveryState
    since: datetime
    until: datetime
    only_failed: bool
    events_total: int
    events_looked_at: int
    deliveries_made: int
    created_at: datetime
    ended_at: datetime | None
    at: datetime

    @property
    def estimated_end_at(self) -> datetime | None:
        """When it ends if it goes on as it has until now; None when it has ended or has only begun."""
        if self.state != "running" or not self.events_looked_at:
            return None
        share = max(self.events_total, self.events_looked_at) / self.events_looked_at
        return self.created_at + (self.at - self.created_at) * share


@dataclass(frozen=True, slots=True)
class Preview:
    """What a recovery would look at, and what it would send, if it began now."""

    events_total: int
    deliveries: int


async def preview_recovery(database: Database, client: str, subscription_id: UUID, span: Span) -> Preview:
    """Count and change nothing. NotFound when the client has no such subscription."""
    await _require_subscription(database, client, subscription_id)
    rows = await database.statement(_PREVIEW, _values(client, subscription_id, span) | {"most": None})
    return Preview(rows[0].events_total, rows[0].deliveries)


async def start_recovery(database: Database, client: str, subscription_id: UUID, span: Span) -> Recovery:
    """The new job; a worker takes it up within moments.

    Raises NotFound, SubscriptionDisabled, and RecoveryRunning when there is one for the subscription.
    """
    if await _require_subscription(database, client, subscription_id) == "disabled":
        raise SubscriptionDisabled
    values = _values(client, subscription_id, span) | {"id": new_id(), "since": span.since, "until": span.until}
    rows = await database.statement(_START, values)
    if not rows:
        raise RecoveryRunning
    return _recovery(rows[0])


async def get_recovery(database: Database, client: str, subscription_id: UUID, recovery_id: UUID) -> Recovery:
    """The client's job; NotFound when there is none or it is another client's."""
    ids = {"client": client, "subscription_id": subscription_id, "id": recovery_id}
    return _found(await database.statement(_GET, ids))


async def list_recoveries(
    database: Database, client: str, subscription_id: UUID, before: UUID | None, limit: int
) -> Sequence[Recovery]:
    """The subscription's newest first, at most `limit`; NotFound when the client has no such subscription."""
    await _require_subscription(database, client, subscription_id)
    values = {"client": client, "subscription_id": subscription_id, "before": before, "limit": limit}
    return [_recovery(row) for row in await database.statement(_LIST, values)]


async def cancel_recovery(database: Database, client: str, subscription_id: UUID, recovery_id: UUID) -> Recovery:
    """The job, which makes no delivery any more; what it has made goes out. Raises NotFound, RecoveryEnded."""
    ids = {"client": client, "subscription_id": subscription_id, "id": recovery_id}
    rows = await database.statement(_CANCEL, ids)
    if rows:
        return _recovery(rows[0])
    found = _found(await database.statement(_GET, ids))
    if found.state == "canceled":
        return found
    raise RecoveryEnded


async def _require_subscription(database: Database, client: str, subscription_id: UUID) -> str:
    """The state of the client's subscription."""
    rows = await database.statement(_SUBSCRIPTION, {"client": client, "subscription_id": subscription_id})
    if not rows:
        raise NotFound("There is no such subscription.")
    return str(rows[0].state)


def _values(client: str, subscription_id: UUID, span: Span) -> dict[str, Any]:
    return {
        "client": client,
        "subscription_id": subscription_id,
        "only_failed": span.only_failed,
        "first": first_id(span.since),
        "last": last_id(span.until),
        "reached_by": BEFORE_ALL,
        "reached": first_id(span.since),
    }


def _found(rows: Sequence[Row[Any]]) -> Recovery:
    if not rows:
        raise NotFound("There is no such recovery.")
    return _recovery(rows[0])


def _recovery(row: Row[Any]) -> Recovery:
    return Recovery(**row._mapping)


_COLUMNS = ", ".join(name for name in Recovery.__dataclass_fields__ if name != "at") + ", now() AS at"
_IDS = tuple(bindparam(name, type_=pg.UUID(as_uuid=True)) for name in ("subscription_id", "id"))
_MINE = "client = :client AND subscription_id = :subscription_id AND id = :id"

_SUBSCRIPTION = text("SELECT state FROM subscriptions WHERE client = :client AND id = :subscription_id").bindparams(
    _IDS[0]
)
_GET = text(f"SELECT {_COLUMNS} FROM recoveries WHERE {_MINE}").bindparams(*_IDS)
_LIST = text(f"""
    SELECT {_COLUMNS} FROM recoveries
    WHERE client = :client AND subscription_id = :subscription_id AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
""").bindparams(_IDS[0], bindparam("before", type_=pg.UUID(as_uuid=True)))
_CANCEL = text(f"""
    UPDATE recoveries SET state = 'canceled', ended_at = now() WHERE {_MINE} AND state = 'running' RETURNING {_COLUMNS}
""").bindparams(*_IDS)
_PREVIEW = text(f"""
    WITH {MISSING_CTES}
    SELECT (SELECT count(*) FROM looked) AS events_total, (SELECT count(*) FROM missing) AS deliveries
""").bindparams(*missing_binds())
_START = text(f"""
    INSERT INTO recoveries
        (id, client, subscription_id, since, until, only_failed, reached_by, reached, events_total)
    SELECT :id, CAST(:client AS text), :subscription_id, :since, :until, :only_failed, :reached_by, :reached, count(*)
    FROM events e WHERE e.client = :client AND e.id BETWEEN :first AND :last
    ON CONFLICT (subscription_id) WHERE state = 'running' DO NOTHING
    RETURNING {_COLUMNS}
""").bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)), *missing_binds())
