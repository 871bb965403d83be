"""Sends an event to its subscription again: a new delivery under the same webhook-id, or the undone one now."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.listen import DELIVERIES
from service.resources import Resources
from service.subscribers.errors import EventGone, SubscriptionDisabled, SubscriptionGone
from service.subscribers.history import Delivery, get_delivery


async def resend(resources: Resources, client: str, delivery_id: UUID) -> Delivery:
    """The delivery that sends the event of this one again; due now.

    While the event is still undone for that subscription there is no second one: what waits is due now, what is under
    way goes on. Raises NotFound, SubscriptionGone, SubscriptionDisabled, EventGone.
    """
    former = await get_delivery(resources.db, client, delivery_id)
    event = {"event_id": former.event_id, "subscription_id": former.subscription_id}
    async with resources.db.transaction() as connection:
        await _require_active(connection, former.subscription_id)
        found = await _first_id(connection, (_DUE_NOW, _UNDER_WAY, _AGAIN), event)
    if found is None:
        raise EventGone
    resources.bell.ring(DELIVERIES)
    return await get_delivery(resources.db, client, found)


async def _require_active(connection: AsyncConnection, subscription_id: UUID) -> None:
    """Lock the subscription against a second resend at the same time, and see that it takes deliveries."""
    row = (await connection.execute(_LOCK_SUBSCRIPTION, {"id": subscription_id})).one_or_none()
    if row is None:
        raise SubscriptionGone
    if row.state == "disabled":
        raise SubscriptionDisabled


async def _first_id(connection: AsyncConnection, statements: tuple[Any, ...], event: dict[str, UUID]) -> UUID | None:
    """The id that the first of these gives that gives one."""
    for statement in statements:
        found: UUID | None = (await connection.execute(statement, event)).scalar_one_or_none()
        if found is not None:
            return found
    return None


_IDS = (
    bindparam("event_id", type_=pg.UUID(as_uuid=True)),
    bindparam("subscription_id", type_=pg.UUID(as_uuid=True)),
)
_LOCK_SUBSCRIPTION = text("SELECT state FROM subscriptions WHERE id = :id FOR NO KEY UPDATE").bindparams(
    bindparam("id", type_=pg.UUID(as_uuid=True))
)
# Skips what a claim or a store holds at this moment: those may wait for the subscription, which is locked here.
_DUE_NOW = text("""
    UPDATE deliveries SET due_at = LEAST(due_at, now()) WHERE id = (
        SELECT id FROM deliveries WHERE subscription_id = :subscription_id AND claim_id IS NULL AND event_id = :event_id
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING id
""").bindparams(*_IDS)
_UNDER_WAY = text("""
    SELECT id FROM (
        SELECT id FROM deliveries
        WHERE subscription_id = :subscription_id AND claim_id IS NULL AND event_id = :event_id
        UNION ALL
        SELECT id FROM deliveries
        WHERE subscription_id = :subscription_id AND claim_id IS NOT NULL AND event_id = :event_id
    ) undone LIMIT 1
""").bindparams(*_IDS)
_AGAIN = text("""
    INSERT INTO deliveries (id, client, event_id, subscription_id)
    SELECT gateway_uuid7(now()), e.client, e.id, :subscription_id FROM events e WHERE e.id = :event_id
    RETURNING id
""").bindparams(*_IDS)
