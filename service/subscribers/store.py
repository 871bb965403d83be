"""Subscriptions in SQL, each seen by its own client only, and the two pieces of SQL by which tasks notify them.

The caller opens the transaction and commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.tables import subscriptions
from service.subscribers.event_types import TERMINAL_EVENT_TYPES, EventType


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """What it takes to make one; the URL has passed the guard, the id is a uuid7, so that ids sort by time."""

    id: UUID
    client: str
    url: str
    event_types: tuple[EventType, ...]
    secret: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as its client may see it: without its secret."""

    id: UUID
    client: str
    url: str
    event_types: tuple[EventType, ...]
    inline: bool
    state: Literal["active", "disabled"]
    description: str
    created_at: datetime


_SHOWN = tuple(column for column in subscriptions.c if column.name != "secret")


async def create_subscription(connection: AsyncConnection, new: NewSubscription) -> Subscription:
    """Store it; it gets every matching event from the commit on."""
    values = {
        "id": new.id,
        "client": new.client,
        "url": new.url,
        "event_types": list(new.event_types),
        "secret": new.secret,
        "description": new.description,
    }
    rows = await connection.execute(insert(subscriptions).values(values).returning(*_SHOWN))
    return _subscription(rows.one())


async def list_subscriptions(
    connection: AsyncConnection, client: str, *, before: UUID | None, limit: int
) -> Sequence[Subscription]:
    """The client's newest first, at most `limit`; the last id of a page is `before` of the next."""
    query = select(*_SHOWN).where(subscriptions.c.client == client).order_by(subscriptions.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(subscriptions.c.id < before)
    return [_subscription(row) for row in await connection.execute(query)]


async def get_subscription(connection: AsyncConnection, client: str, subscription_id: UUID) -> Subscription | None:
    """The client's subscription, or None also for another client's."""
    mine = (subscriptions.c.id == subscription_id) & (subscriptions.c.client == client)
    row = (await connection.execute(select(*_SHOWN).where(mine))).one_or_none()
    return None if row is None else _subscription(row)


async def delete_subscription(connection: AsyncConnection, client: str, subscription_id: UUID) -> bool:
    """Delete it with its undone deliveries; False if the client has none with this id.

    A delivery whose row another transaction holds right now is skipped, so that the two cannot deadlock; the next
    claim finds no subscription for it and drops it.
    """
    values = {"id": subscription_id, "client": client}
    await connection.execute(_DELETE_DELIVERIES, values)
    mine = (subscriptions.c.id == subscription_id) & (subscriptions.c.client == client)
    return (await connection.execute(delete(subscriptions).where(mine))).rowcount == 1


_DELETE_DELIVERIES = text("""
    DELETE FROM deliveries WHERE id IN (
        SELECT d.id FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id
        WHERE s.id = :id AND s.client = :client
        FOR UPDATE OF d SKIP LOCKED
    )
""")

_TERMINAL = ", ".join(f"'{event_type}'" for event_type in TERMINAL_EVENT_TYPES)

INLINE_SUBSCRIPTION_CTES = f"""
callback_found AS (
    SELECT id FROM subscriptions
    WHERE client = :client AND url = CAST(:callback_url AS text) AND inline AND state = 'active'
), callback_made AS (
    INSERT INTO subscriptions (id, client, url, event_types, secret, inline, description)
    SELECT CAST(:subscription_id AS uuid), :client, CAST(:callback_url AS text), ARRAY[{_TERMINAL}],
           CAST(:secret AS text), true, ''
    WHERE CAST(:callback_url AS text) IS NOT NULL AND NOT EXISTS (SELECT FROM callback_found)
    ON CONFLICT (client, url) WHERE inline DO UPDATE SET state = 'active'
    RETURNING id, (xmax = 0) AS created
), callback AS (
    SELECT id, false AS created FROM callback_found UNION ALL SELECT id, created FROM callback_made
)
"""
"""CTEs for the statement that inserts a task: `callback` has the id of its inline subscription and whether that is new.

Binds: client, callback_url (or NULL: `callback` is empty), subscription_id and secret for a new one.
One that exists is only read: a lock on it would line up all creations of the client behind each other's commits.
An inline subscription that a 410 disabled is active again, since its client has just named the address anew.
"""

FAN_OUT_SQL = """
INSERT INTO deliveries (id, event_id, subscription_id)
SELECT gen_random_uuid(), e.id, s.id
FROM event e
JOIN subscriptions s ON s.client = e.client AND s.state = 'active' AND e.type = ANY (s.event_types)
    AND (NOT s.inline OR s.id = e.callback_subscription_id)
"""
"""A CTE's body for the statement that inserts events: one delivery per event and subscription that wants it.

Needs a CTE `event` with the columns id, client, type, callback_subscription_id.
"""


def _subscription(row: Row[Any]) -> Subscription:
    values = row._mapping
    return Subscription(**{**values, "event_types": tuple(values["event_types"])})
