"""Sends a failed task's request again, as a new task with the assets that are still stored."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.ids import new_id
from service.db.listen import DELIVERIES, TASKS
from service.errors import AssetsGone, DuplicateCostNotAccepted, NotFailed, NotFound
from service.resources import Resources
from service.tasks.asset_store import copy_assets
from service.tasks.begin import QUEUE_LOOK_S, QUEUED_EVENT_CTES, refuse_overfull_queue
from service.tasks.store import StoredTask, stored, task_json

# Nobody knows, or nobody can know any more, whether the upstream makes and charges the first one after all.
UNRESOLVED = frozenset({"submission_outcome_unknown", "deadline_exceeded", "upstream_task_gone"})


@dataclass(frozen=True, slots=True)
class Resubmission:
    """Which of the client's tasks to send again, and whether it may cost twice."""

    client: str
    task_id: UUID
    accept_duplicate_cost: bool


async def resubmit(resources: Resources, wanted: Resubmission) -> StoredTask:
    """A new queued task for the failed one. Raises NotFound, a Conflict that says why, LimitReached, Unavailable."""
    settings, new = resources.settings, new_id()
    async with resources.db.transaction() as connection:
        original = await _original(connection, wanted)
        await refuse_overfull_queue(connection, settings, wanted.client, original.stored_bytes)
        values = {"id": new, "source": wanted.task_id, "event_id": new_id(), "look_s": QUEUE_LOOK_S}
        row = (await connection.execute(_AGAIN, values)).one()
        await copy_assets(connection, wanted.task_id, new)
    resources.bell.ring(TASKS, new.hex)
    resources.bell.ring(DELIVERIES)
    return stored(row)


async def _original(connection: AsyncConnection, wanted: Resubmission) -> Row[Any]:
    values = {"id": wanted.task_id, "client": wanted.client}
    row = (await connection.execute(_ORIGINAL, values)).one_or_none()
    if row is None:
        raise NotFound("There is no such task.")
    if row.state not in {"failed", "canceled", "unknown"}:
        raise NotFailed
    is_unresolved = row.state == "unknown" or (row.error_code in UNRESOLVED and row.reported_at is None)
    if is_unresolved and not wanted.accept_duplicate_cost:
        raise DuplicateCostNotAccepted
    if row.assets and not row.stored_bytes:
        raise AssetsGone
    return row


_ID = bindparam("id", type_=pg.UUID(as_uuid=True))
_ORIGINAL = text(
    "SELECT state, error_code, reported_at, assets, stored_bytes FROM tasks "
    "WHERE id = :id AND client = :client FOR SHARE"
).bindparams(_ID)
_COPIED = """client, account, model_id, prompt, generations_count, model_parameters, assets, stored_bytes,
        client_reference, metadata, priority, max_credits, callback_subscription_id"""
_AGAIN = text(
    f"""
WITH new AS (
    INSERT INTO tasks (id, state, resubmission_of, poll_at, {_COPIED})
    SELECT :id, 'queued', id, now() + make_interval(secs => :look_s), {_COPIED} FROM tasks WHERE id = :source
    RETURNING *
),
{QUEUED_EVENT_CTES}
SELECT n.id, n.state, n.version, {task_json("n")}::text AS body FROM new n
"""
).bindparams(
    _ID,
    bindparam("source", type_=pg.UUID(as_uuid=True)),
    bindparam("event_id", type_=pg.UUID(as_uuid=True)),
)
