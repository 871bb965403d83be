"""The loop that carries recoveries on: a portion of events at a time, whichever process is at hand."""

import asyncio
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.ids import first_id, last_id
from service.db.listen import DELIVERIES
from service.resources import Resources
from service.subscribers.missing_events import MISSING_CTES, missing_binds

# Looked at in one transaction.
PORTION_EVENTS = 1000
PORTIONS_PER_TURN = 20
# While a subscription has so many undone deliveries it gets no more: the table of undone work must stay small.
MOST_UNDONE = 5000
BACKLOG_REST_S = 1.0
# What is due is in the hands of another process.
LOCKED_REST_S = 0.1
FORGET_EVERY_S = 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one portion did; `state` is the job's afterwards."""

    recovery_id: UUID
    state: str
    made: int


class RecoverLoop:
    """Makes the deliveries of running recoveries; a loop of the usual outline.

    One portion is one transaction: the deliveries, the place that was reached and the counts are committed together, so
    that they are exact whatever is killed. The rate of a job holds over all processes, since its next portion has a
    time, and a process that finds the job locked leaves it alone.
    """

    name = "recover"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._forget_at_s = 0.0

    async def turn(self) -> float:
        """Portions of the jobs that are due, then rest until the next one is."""
        for _ in range(PORTIONS_PER_TURN):
            rest_s = await self._rest_s()
            if rest_s > 0:
                await self._forget()
                return rest_s
            progress = await self._portion()
            if progress is None:
                return LOCKED_REST_S
            self._tell(progress)
        return 0.0

    async def drain(self) -> None:
        """Nothing outlives a turn."""

    async def _portion(self) -> Progress | None:
        """Carry the job on that is due first; None when none is."""
        async with self._resources.db.transaction() as connection:
            job = (await connection.execute(_TAKE)).mappings().one_or_none()
            return None if job is None else await self._carry_on(connection, job)

    async def _carry_on(self, connection: AsyncConnection, job: RowMapping) -> Progress:
        if job["subscription_state"] not in {"active", "paused"}:
            row = (await connection.execute(_END, {"id": job["id"]})).one()
        elif await _undone(connection, job["subscription_id"]) >= MOST_UNDONE:
            row = (await connection.execute(_PUT_OFF, {"id": job["id"], "rest_s": BACKLOG_REST_S})).one()
        else:
            row = (await connection.execute(_CARRY_ON, self._values(job))).one()
        return Progress(job["id"], row.state, row.made)

    def _values(self, job: RowMapping) -> dict[str, Any]:
        per_s = self._resources.settings.recover_per_s
        kept = ("id", "client", "subscription_id", "only_failed", "reached_by", "reached")
        return {name: job[name] for name in kept} | {
            "first": first_id(job["since"]),
            "last": last_id(job["until"]),
            "most": min(PORTION_EVENTS, ceil(per_s)),
            "per_s": per_s,
        }

    async def _forget(self) -> None:
        """Once in a while, those that ended longer ago than the events are kept that they were about."""
        if monotonic() < self._forget_at_s:
            return
        await self._resources.db.statement(_FORGET, {"keep_days": self._resources.settings.event_keep_days})
        self._forget_at_s = monotonic() + FORGET_EVERY_S

    async def _rest_s(self) -> float:
        """Until the next portion is due, the polling floor at most: another process may start a job."""
        rows = await self._resources.db.statement(_NEXT)
        floor_s = self._resources.settings.poll_floor_s
        return floor_s if rows[0].in_s is None else min(max(float(rows[0].in_s), 0.0), floor_s)

    def _tell(self, progress: Progress) -> None:
        if progress.made:
            self._resources.bell.ring(DELIVERIES)
        if progress.state != "running":
            log.info("recovery_ended", recovery_id=str(progress.recovery_id), state=progress.state)


async def _undone(connection: AsyncConnection, subscription_id: UUID) -> int:
    values = {"subscription_id": subscription_id, "most": MOST_UNDONE}
    return int((await connection.execute(_UNDONE, values)).scalar_one())


_ID = bindparam("id", type_=pg.UUID(as_uuid=True))
_TAKE = text("""
    SELECT r.*, s.state AS subscription_state FROM recoveries r LEFT JOIN subscriptions s ON s.id = r.subscription_id
    WHERE r.state = 'running' AND r.next_at <= now()
    ORDER BY r.next_at LIMIT 1 FOR UPDATE OF r SKIP LOCKED
""")
_NEXT = text("SELECT extract(epoch FROM min(next_at) - now()) AS in_s FROM recoveries WHERE state = 'running'")
_UNDONE = text("""
    SELECT count(*) FROM (
        SELECT FROM deliveries WHERE subscription_id = :subscription_id AND claim_id IS NULL LIMIT :most
    ) AS few
""").bindparams(bindparam("subscription_id", type_=pg.UUID(as_uuid=True)))
_END = text(
    "UPDATE recoveries SET state = 'canceled', ended_at = now() WHERE id = :id RETURNING state, 0 AS made"
).bindparams(_ID)
_PUT_OFF = text(
    "UPDATE recoveries SET next_at = now() + make_interval(secs => :rest_s) WHERE id = :id RETURNING state, 0 AS made"
).bindparams(_ID)
_FORGET = text("DELETE FROM recoveries WHERE ended_at < now() - make_interval(days => :keep_days)")
_CARRY_ON = text(f"""
    WITH {MISSING_CTES},
    made AS (
        INSERT INTO deliveries (id, client, event_id, subscription_id)
        SELECT gateway_uuid7(now()), :client, id, :subscription_id FROM missing ORDER BY written_by, id
        RETURNING id
    ),
    portion AS (
        SELECT (SELECT count(*) FROM looked) AS looked, (SELECT count(*) FROM made) AS made
    ),
    place AS (SELECT written_by, id FROM looked ORDER BY written_by DESC, id DESC LIMIT 1)
    UPDATE recoveries r SET
        events_looked_at = r.events_looked_at + p.looked,
        deliveries_made = r.deliveries_made + p.made,
        reached_by = COALESCE(place.written_by, r.reached_by),
        reached = COALESCE(place.id, r.reached),
        next_at = now() + make_interval(secs => p.made / CAST(:per_s AS float8)),
        state = CASE WHEN p.looked < :most THEN 'done' ELSE 'running' END,
        ended_at = CASE WHEN p.looked < :most THEN now() END
    FROM portion p LEFT JOIN place ON true
    WHERE r.id = :id
    RETURNING r.state, p.made
""").bindparams(_ID, *missing_binds())
