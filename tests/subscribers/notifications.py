"""Makes what the delivery loop works on, and tells what became of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from service.db.engine import Database as GatewayDatabase
from service.db.ids import new_id
from service.db.line import Line
from service.settings import Settings
from service.subscribers.claims import Ask, Claim, claim_due
from service.subscribers.deliver import DeliveryLoop
from service.subscribers.event_types import TERMINAL_EVENT_TYPES, EventType
from service.subscribers.fan_out import FAN_OUT_SQL
from service.subscribers.outcomes import Outcome, Stored, store_outcomes
from service.subscribers.pace import Rooms, room
from service.subscribers.signature import new_signing_secret
from service.subscribers.store import NewSubscription, create_subscription
from service.worker import Loops

OpenLoop = Callable[..., AbstractAsyncContextManager[DeliveryLoop]]

EMIT = text(f"""
    WITH event AS (
        INSERT INTO events (id, client, type, body) VALUES (:id, :client, :type, :body)
        RETURNING id, client, type, CAST(:callback_subscription_id AS uuid) AS callback_subscription_id,
            CAST('seedream' AS text) AS model_id, CAST(NULL AS text) AS client_reference,
            CAST('{{}}' AS jsonb) AS metadata
    ), fan_out AS ({FAN_OUT_SQL})
    SELECT
""")


@asynccontextmanager
async def running(loop: DeliveryLoop) -> AsyncIterator[DeliveryLoop]:
    """The loop as it runs in a worker, drained when the block ends."""
    loops = Loops((loop,))
    loops.start()
    try:
        yield loop
    finally:
        await loops.stop(30.0)


@dataclass
class Notifications:
    """Makes what the loop works on, and tells what became of it."""

    database: GatewayDatabase
    line: Line
    attempts_observed: list[tuple[str, str | None]] = field(default_factory=list)

    async def subscribe(
        self, url: str, *, client: str = "shop", event_types: tuple[EventType, ...] = TERMINAL_EVENT_TYPES
    ) -> NewSubscription:
        """A subscription of the client."""
        new = NewSubscription(new_id(), client, url, event_types, new_signing_secret())
        async with self.database.transaction() as connection:
            await create_subscription(connection, new)
        return new

    async def emit(
        self,
        event_type: str = "task.succeeded",
        *,
        client: str = "shop",
        callback: UUID | None = None,
        body: str = "{}",
    ) -> UUID:
        """An event, committed with its deliveries."""
        event_id = new_id()
        values = {"id": event_id, "client": client, "type": event_type, "body": body}
        await self.database.statement(EMIT, {**values, "callback_subscription_id": callback})
        return event_id

    async def rows(self, sql: str, **values: object) -> list[dict[str, Any]]:
        """What a query finds."""
        return [dict(row._mapping) for row in await self.database.statement(text(sql), values)]

    async def claim(self, free: int = 10, *, per_lane: int | None = None, **settings: float) -> list[Claim]:
        """What a process with so many free places, of which it knows nobody yet, claims now."""
        most = room(free, held=0) if per_lane is None else per_lane
        rooms = Rooms(free, (), (), (), of_others=most, of_untrusted=free, of_troubled=free)
        return list((await claim_due(self.line, Settings(**settings), Ask(rooms))).claims)  # type: ignore[arg-type]

    async def store(self, outcomes: Sequence[Outcome], **settings: float) -> Stored:
        """Store them as a process does."""
        return await store_outcomes(self.line, Settings(**settings), outcomes)  # type: ignore[arg-type]

    async def make_due(self) -> None:
        """Let the time pass until every delivery is due, every lease has ended and no subscription rests."""
        await self.rows("""
            UPDATE deliveries SET due_at = now() - interval '1 millisecond', claim_id = NULL, lease_until = NULL
        """)
        await self.rows("UPDATE subscriptions SET rests_until = now() WHERE rests_until > now()")

    async def results(self) -> list[str]:
        """The ends that deliveries had."""
        return [row["state"] for row in await self.rows("SELECT state FROM delivery_results ORDER BY ended_at, id")]

    async def is_idle(self) -> bool:
        """Whether nothing is left to do."""
        return not await self.rows("SELECT id FROM deliveries LIMIT 1")
