"""Changes a subscription: where its events go, which, how fast, and whether they go at all.

The caller opens the transaction and commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.notification_tables import subscriptions
from service.subscribers.event_types import EventType
from service.subscribers.store import SHOWN, Subscription, as_subscription, mine

# What a subscription has before anything failed: the next delivery goes out at once.
_AT_EASE: Mapping[str, object] = {"failures_in_row": 0, "failing_since": None, "rests_until": None}


@dataclass(frozen=True, slots=True)
class Changed:
    """All that can change of a subscription, as it is to be from now on; a `state` of None stays as it is."""

    url: str
    event_types: tuple[EventType, ...]
    filter: Mapping[str, Any] | None
    description: str
    timeout_s: float | None
    max_in_flight: int | None
    rate_per_s: float | None
    state: Literal["active", "paused"] | None


async def lock_subscription(connection: AsyncConnection, client: str, subscription_id: UUID) -> Subscription | None:
    """The client's subscription, kept from other changes until the transaction ends; None also for another's."""
    query = select(*SHOWN).where(mine(client, subscription_id)).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else as_subscription(row)


async def change_subscription(connection: AsyncConnection, before: Subscription, changed: Changed) -> Subscription:
    """Store the changes to a locked subscription.

    A paused one goes on collecting deliveries, which wait. One that is set active, or gets another address, starts
    afresh: it rests no longer and no failure of the past counts against it.
    """
    values: dict[str, object] = {
        "url": changed.url,
        "event_types": list(changed.event_types),
        "filter": changed.filter,
        "description": changed.description,
        "timeout_s": changed.timeout_s,
        "max_in_flight": changed.max_in_flight,
        "rate_per_s": changed.rate_per_s,
        "updated_at": func.now(),
    }
    if changed.state is not None:
        values |= {"state": changed.state, "disabled_reason": None}
    if changed.state == "active" or changed.url != before.url:
        values |= _AT_EASE
    statement = update(subscriptions).where(subscriptions.c.id == before.id).values(values).returning(*SHOWN)
    return as_subscription((await connection.execute(statement)).one())
