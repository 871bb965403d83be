"""Subscriptions in SQL, each seen by its own client only.

The caller opens the transaction and commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.notification_tables import subscriptions
from service.subscribers.errors import TooManySubscriptions
from service.subscribers.event_types import EventType

Format = Literal["standard", "upstream"]
State = Literal["active", "paused", "disabled"]


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """What it takes to make one.

    The URL has passed the guard, the id is a uuid7, so that ids sort by time, and the secret is as it is to be stored.
    What is None follows the settings; a filter of None takes the events of every task.
    """

    id: UUID
    client: str
    url: str
    event_types: tuple[EventType, ...]
    secret: str
    description: str = ""
    filter: Mapping[str, Any] | None = None
    format: Format = "standard"
    timeout_s: float | None = None
    max_in_flight: int | None = None
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as its client may see it: without its secrets.

    `rests_until` and `rotating_until` are there while they lie ahead: no delivery before the one, two signatures on
    each until the other.
    """

    id: UUID
    client: str
    url: str
    event_types: tuple[EventType, ...]
    filter: Mapping[str, Any] | None
    format: Format
    inline: bool
    state: State
    disabled_reason: Literal["gone", "failing"] | None
    description: str
    timeout_s: float | None
    max_in_flight: int | None
    rate_per_s: float | None
    failures_in_row: int
    failing_since: datetime | None
    rests_until: datetime | None
    rotating_until: datetime | None
    created_at: datetime
    updated_at: datetime


def _while_ahead(moment: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    return case((moment > func.now(), moment)).label(name)


_COLUMNS = subscriptions.c
_COMPUTED: Mapping[str, ColumnElement[Any]] = {
    "rests_until": _while_ahead(_COLUMNS.rests_until, "rests_until"),
    "rotating_until": _while_ahead(_COLUMNS.previous_secret_until, "rotating_until"),
}
SHOWN: tuple[ColumnElement[Any], ...] = tuple(
    _COMPUTED[name] if name in _COMPUTED else _COLUMNS[name] for name in Subscription.__dataclass_fields__
)


async def require_room(connection: AsyncConnection, client: str, most: int) -> None:
    """Raise TooManySubscriptions if the client has as many of its own; of several made at once a few may slip in."""
    own = select(func.count()).where(_COLUMNS.client == client, ~_COLUMNS.inline)
    if (await connection.execute(own)).scalar_one() >= most:
        raise TooManySubscriptions(f"You have {most} subscriptions, as many as there may be; delete one first.")


async def create_subscription(connection: AsyncConnection, new: NewSubscription) -> Subscription:
    """Store it; it gets every matching event from the commit on."""
    values = {**asdict(new), "event_types": list(new.event_types)}
    rows = await connection.execute(insert(subscriptions).values(values).returning(*SHOWN))
    return as_subscription(rows.one())


async def list_subscriptions(
    connection: AsyncConnection, client: str, *, before: UUID | None, limit: int, state: State | None = None
) -> Sequence[Subscription]:
    """The client's newest first, at most `limit`; the last id of a page is `before` of the next."""
    query = select(*SHOWN).where(_COLUMNS.client == client).order_by(_COLUMNS.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_COLUMNS.id < before)
    if state is not None:
        query = query.where(_COLUMNS.state == state)
    return [as_subscription(row) for row in await connection.execute(query)]


def mine(client: str, subscription_id: UUID) -> ColumnElement[bool]:
    """The condition under which a row is this subscription, and this client's."""
    return (_COLUMNS.id == subscription_id) & (_COLUMNS.client == client)


async def get_subscription(connection: AsyncConnection, client: str, subscription_id: UUID) -> Subscription | None:
    """The client's subscription, or None also for another client's."""
    row = (await connection.execute(select(*SHOWN).where(mine(client, subscription_id)))).one_or_none()
    return None if row is None else as_subscription(row)


async def delete_subscription(connection: AsyncConnection, client: str, subscription_id: UUID) -> bool:
    """Delete it with its undone deliveries; False if the client has none with this id.

    A delivery whose row another transaction holds right now is skipped, so that the two cannot deadlock; the next
    claim finds no subscription for it and drops it.
    """
    await connection.execute(_DELETE_DELIVERIES, {"id": subscription_id, "client": client})
    return (await connection.execute(delete(subscriptions).where(mine(client, subscription_id)))).rowcount == 1


def as_subscription(row: Row[Any]) -> Subscription:
    """A row of the columns SHOWN."""
    values = row._mapping
    return Subscription(**{**values, "event_types": tuple(values["event_types"])})


_DELETE_DELIVERIES = text("""
    DELETE FROM deliveries WHERE id IN (
        SELECT d.id FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id
        WHERE s.id = :id AND s.client = :client
        FOR UPDATE OF d SKIP LOCKED
    )
""")
