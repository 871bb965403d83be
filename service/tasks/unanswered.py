"""The SQL of requests without a key that were not answered yet; `attach` says what they are good for."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import Database
from service.tasks.asked import Unanswered

# So long a request is taken to be waited for after its process was heard of last.
WAITER_LEASE_S = 15.0


@dataclass(frozen=True, slots=True)
class Look:
    """What there is for a request: the task it has joined, else the waiters of the same request that stand in its way.

    They come with the moment until which they are taken to be there: it grows while their process lives.
    """

    task_id: UUID | None
    standing: Mapping[UUID, datetime]


async def note_unanswered(connection: AsyncConnection, task_id: UUID, request: Unanswered) -> None:
    """Keep the request with its task, in the transaction that makes the task."""
    await connection.execute(_NOTE, asdict(request) | {"task_id": task_id, "lease_s": WAITER_LEASE_S})


async def forget_unanswered(connection: AsyncConnection, task_id: UUID) -> None:
    """Let the same request make a new task: this one charged nothing, and its caller is told so."""
    await connection.execute(_FORGET_TASK, {"task_id": task_id})


async def take_unanswered(database: Database, request: Unanswered, left: Collection[UUID], window_s: float) -> Look:
    """Join the oldest task whose request nobody waits for any more, at most `window_s` old; of two only one can.

    `left` are waiters that are known to be gone, whatever the table says.
    """
    values = asdict(request) | {"left": list(left), "window_s": window_s, "lease_s": WAITER_LEASE_S}
    rows = await database.statement(_TAKE, values)
    taken = next((row.task_id for row in rows if row.is_taken), None)
    return Look(taken, {row.waiter: row.waiter_until for row in rows if not row.is_taken})


async def renew_waiters(database: Database, waiters: Collection[UUID]) -> None:
    """Say that these are still waited for."""
    await database.statement(_RENEW, {"waiters": list(waiters), "lease_s": WAITER_LEASE_S})


async def release_waiter(database: Database, waiter: UUID) -> None:
    """Say that nobody waits any more: who comes next with the same request joins at once."""
    await database.statement(_RELEASE, {"waiter": waiter})


async def forget_answered(database: Database, waiters: Collection[UUID]) -> None:
    """These were answered: the same request that comes again means another task."""
    await database.statement(_FORGET, {"waiters": list(waiters)})


_TASK_ID = bindparam("task_id", type_=pg.UUID(as_uuid=True))
_WAITER = bindparam("waiter", type_=pg.UUID(as_uuid=True))
_WAITERS = bindparam("waiters", type_=pg.ARRAY(pg.UUID(as_uuid=True)))
_NOTE = text(
    """
    INSERT INTO unanswered_requests (task_id, client, route, fingerprint, waiter, waiter_until)
    VALUES (:task_id, :client, :route, :fingerprint, :waiter, now() + make_interval(secs => :lease_s))
    """
).bindparams(_TASK_ID, _WAITER)
# Materialized, so that one row is locked and no more, however the plan goes. Who finds it locked looks again.
_TAKE = text(
    """
    WITH free AS MATERIALIZED (
        SELECT task_id FROM unanswered_requests
        WHERE client = :client AND route = :route AND fingerprint = :fingerprint
            AND created_at > now() - make_interval(secs => :window_s)
            AND (waiter_until <= now() OR waiter = ANY(:left))
        ORDER BY created_at, task_id LIMIT 1 FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        UPDATE unanswered_requests SET waiter = :waiter, waiter_until = now() + make_interval(secs => :lease_s)
        WHERE task_id = (SELECT task_id FROM free)
        RETURNING task_id, waiter, waiter_until
    )
    SELECT task_id, waiter, waiter_until, true AS is_taken FROM taken
    UNION ALL
    SELECT task_id, waiter, waiter_until, false FROM unanswered_requests
    WHERE client = :client AND route = :route AND fingerprint = :fingerprint
        AND created_at > now() - make_interval(secs => :window_s) AND NOT EXISTS (SELECT FROM taken)
    """
).bindparams(_WAITER, bindparam("left", type_=pg.ARRAY(pg.UUID(as_uuid=True))))
_RENEW = text(
    "UPDATE unanswered_requests SET waiter_until = now() + make_interval(secs => :lease_s) WHERE waiter = ANY(:waiters)"
).bindparams(_WAITERS)
_RELEASE = text("UPDATE unanswered_requests SET waiter_until = now() WHERE waiter = :waiter").bindparams(_WAITER)
_FORGET = text("DELETE FROM unanswered_requests WHERE waiter = ANY(:waiters)").bindparams(_WAITERS)
_FORGET_TASK = text("DELETE FROM unanswered_requests WHERE task_id = :task_id").bindparams(_TASK_ID)
# Older than any window in which a request may join.
FORGET_OLD = text(
    """
    DELETE FROM unanswered_requests WHERE task_id = ANY (ARRAY(
        SELECT task_id FROM unanswered_requests WHERE created_at < now() - make_interval(secs => :life_s) LIMIT :most
    ))
    RETURNING task_id
    """
)
