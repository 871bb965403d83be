"""Makes events at a steady rate, as commits of tasks do: in one statement with their deliveries."""

import asyncio
import time
from contextlib import suppress
from uuid import UUID

import asyncpg

from service.db.ids import new_id
from service.subscribers.fan_out import FAN_OUT_SQL
from tests.chaos_deliveries.plan import Plan

CLIENT = "alpha"
EVENT_TYPE = "task.succeeded"
TICK_S = 0.05
ANSWER_WITHIN_S = 3.0
EVENTS_PER_STATEMENT = 200

_EMIT = f"""
WITH event AS (
    INSERT INTO events (id, client, type, body)
    SELECT id, '{CLIENT}', '{EVENT_TYPE}', format('{{"type":"{EVENT_TYPE}","event":"%s"}}', id)
    FROM unnest($1::uuid[]) AS made (id)
    RETURNING id, client, type, NULL::uuid AS callback_subscription_id, 'seedream' AS model_id,
        NULL::text AS client_reference, '{{}}'::jsonb AS metadata
), fan_out AS ({FAN_OUT_SQL})
SELECT pg_notify('gateway_deliveries', '')
"""


class Emitter:
    """Makes the plan's events; what a fault of the database left open is made anew, under other ids."""

    def __init__(self, url: str, plan: Plan) -> None:
        self.acknowledged: set[UUID] = set()
        self.began_at_s = 0.0
        self._url = url
        self._plan = plan
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._given_up = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether all are made."""
        return len(self.acknowledged) >= self._plan.events

    async def run(self) -> None:
        """Make them, as many as are due by the clock."""
        self.began_at_s = time.monotonic()
        while not self.is_done and not self._given_up.is_set():
            try:
                await self._emit_due()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._drop_connection()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._given_up.wait(), TICK_S)
        self._drop_connection()

    async def give_up(self) -> None:
        """Make no more."""
        self._given_up.set()

    async def _emit_due(self) -> None:
        due = min(self._plan.events, int((time.monotonic() - self.began_at_s) * self._plan.events_per_s))
        count = min(due - len(self.acknowledged), EVENTS_PER_STATEMENT)
        if count <= 0:
            return
        if self._connection is None:
            self._connection = await asyncpg.connect(self._url, timeout=ANSWER_WITHIN_S)
        ids = [new_id() for _ in range(count)]
        await self._connection.execute(_EMIT, ids, timeout=ANSWER_WITHIN_S)
        self.acknowledged |= set(ids)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
