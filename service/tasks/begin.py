"""The commit before the paid call: idempotency key, slot or queue, task, its event and assets, all or nothing."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.ids import new_id
from service.errors import LimitReached
from service.resources import Resources
from service.settings import Settings
from service.subscribers.encryption import Encryption
from service.subscribers.fan_out import FAN_OUT_SQL, INLINE_SUBSCRIPTION_CTES
from service.subscribers.signature import new_signing_secret
from service.tasks.accounts import lock_account
from service.tasks.asked import Asked, Begun, Claim, InlineCallback, Joined, Queued
from service.tasks.asset_store import store_assets
from service.tasks.idempotency import take_key
from service.tasks.store import moment_sql, stored, task_json
from service.tasks.unanswered import note_unanswered
from service.uploads.spool import Asset

QUEUE_FULL_RETRY_AFTER_S = 30.0
QUEUE_LOOK_S = 60.0
PRIORITIES = {"normal": 0, "low": 1}


class _NoSlot(Exception):
    """Rolls back what was begun under the account's lock."""


async def begin(resources: Resources, asked: Asked) -> Begun | Queued | Joined:
    """Commit the task. Raises IdempotencyKeyReused, LimitReached (the queue is full), Unavailable.

    Two transactions where no slot is free: the account's lock must not be held while megabytes of assets are stored.
    """
    try:
        return await _begin_now(resources, asked)
    except _NoSlot:
        return await _begin_waiting(resources, asked)


async def _begin_now(resources: Resources, asked: Asked) -> Begun | Joined:
    settings, task_id = resources.settings, new_id()
    # Counted from before the commit, so that our lease ends before the one in the database.
    send_before = time.monotonic() + settings.lease_s
    async with resources.db.transaction() as connection:
        earlier = await take_key(connection, asked.key, task_id) if asked.key else None
        if earlier is not None:
            return Joined(earlier)
        if asked.unanswered is not None:
            await note_unanswered(connection, task_id, asked.unanswered)
        was_unauthorized = await _take_slot(connection, settings)
        values = _values(settings, asked, task_id, has_slot=True)
        row = (await connection.execute(_INSERT, values)).one()
    claim = Claim(task_id, values["claim_id"], 1, send_before, was_unauthorized)
    return Begun(claim, _callback(resources.settings, row, values))


async def _begin_waiting(resources: Resources, asked: Asked) -> Queued | Joined:
    task_id, assets = new_id(), asked.wanted.assets
    async with resources.db.transaction() as connection:
        earlier = await take_key(connection, asked.key, task_id) if asked.key else None
        if earlier is not None:
            return Joined(earlier)
        if asked.unanswered is not None:
            await note_unanswered(connection, task_id, asked.unanswered)
        await refuse_overfull_queue(connection, resources.settings, asked.client, stored_bytes(assets))
        values = _values(resources.settings, asked, task_id, has_slot=False)
        row = (await connection.execute(_INSERT, values)).one()
        if asked.upload is not None:
            await store_assets(connection, task_id, assets, asked.upload)
    return Queued(stored(row), _callback(resources.settings, row, values))


async def _take_slot(connection: AsyncConnection, settings: Settings) -> bool:
    """Lock the account and see that the call may be made at once: a slot is free, nothing rests, and nobody waits who
    came before; else _NoSlot. Gives whether the call before was a 401. Without a cap no lock is taken.
    """
    if not settings.dispatch:
        raise _NoSlot
    if settings.upstream_max_active_tasks == 0:
        return False
    account = await lock_account(connection, settings.upstream_account)
    if account.free_slots(settings.upstream_max_active_tasks, 1) < 1:
        raise _NoSlot
    if (await connection.execute(_WAITING, {"account": settings.upstream_account})).scalar_one():
        raise _NoSlot
    return account.was_unauthorized


async def refuse_overfull_queue(connection: AsyncConnection, settings: Settings, client: str, size_bytes: int) -> None:
    """Raise LimitReached when one more task, or its assets, would not fit in."""
    values = {"account": settings.upstream_account, "client": client}
    queue = (await connection.execute(_QUEUE, values)).one()
    if queue.tasks >= settings.queue_max_tasks or queue.bytes + size_bytes > settings.queue_max_bytes:
        raise LimitReached(
            "Too many tasks wait for a slot already; nothing was stored.", retry_after_s=QUEUE_FULL_RETRY_AFTER_S
        )
    if queue.of_client >= settings.queue_max_tasks_per_client:
        raise LimitReached("Too many of your tasks wait already.", retry_after_s=QUEUE_FULL_RETRY_AFTER_S)


def stored_bytes(assets: tuple[Asset, ...]) -> int:
    """What the assets take in the queue."""
    return sum(asset.size_bytes for asset in assets)


def _callback(settings: Settings, row: Row[Any], values: Mapping[str, Any]) -> InlineCallback | None:
    """The subscription behind the callback URL, with its secret if this task made it."""
    if row.subscription_id is None:
        return None
    secret = Encryption.of(settings).decrypt(values["subscription_id"], values["secret"]) if row.is_new else None
    return InlineCallback(row.subscription_id, secret)


def _values(settings: Settings, asked: Asked, task_id: UUID, has_slot: bool) -> dict[str, Any]:
    wanted, subscription_id = asked.wanted, new_id()
    return {
        "id": task_id,
        "state": "submitting" if has_slot else "queued",
        "attempt": 1 if has_slot else 0,
        "claim_id": new_id(),
        "client": asked.client,
        "account": settings.upstream_account,
        "model_id": wanted.model_id,
        "prompt": wanted.prompt,
        "generations_count": wanted.generations_count,
        "model_parameters": wanted.model_parameters,
        "assets": [_shown_asset(asset) for asset in wanted.assets],
        "stored_bytes": 0 if has_slot else stored_bytes(wanted.assets),
        "client_reference": wanted.client_reference,
        "metadata": wanted.metadata,
        "priority": PRIORITIES[wanted.priority],
        "max_credits": wanted.max_credits,
        "deadline_s": wanted.deadline_s,
        "traceparent": structlog.contextvars.get_contextvars().get("traceparent"),
        "lease_s": settings.lease_s,
        "slot_s": asked.slot_s or settings.upstream_slot_max_s,
        "look_s": settings.lease_s if has_slot else min(QUEUE_LOOK_S, wanted.deadline_s or QUEUE_LOOK_S),
        "callback_url": wanted.callback_url,
        "callback_format": wanted.callback_format,
        "subscription_id": subscription_id,
        "secret": wanted.callback_url and Encryption.of(settings).encrypt(subscription_id, new_signing_secret()),
        "event_id": new_id(),
    }


def _shown_asset(asset: Asset) -> dict[str, object]:
    return {
        "filename": asset.filename,
        "content_type": asset.content_type,
        "size_bytes": asset.size_bytes,
        "sha256": asset.sha256,
    }


_WAITING = text(
    "SELECT EXISTS (SELECT FROM tasks WHERE account = :account AND state = 'queued' "
    "AND (send_after IS NULL OR send_after <= now()))"
)
_QUEUE = text(
    """
    SELECT count(*) AS tasks, count(*) FILTER (WHERE client = :client) AS of_client,
        COALESCE(sum(stored_bytes), 0)::bigint AS bytes
    FROM tasks WHERE account = :account AND state = 'queued'
    """
)
# For a statement whose CTE `new` has just inserted tasks: the event of those that wait, and its deliveries.
QUEUED_EVENT_CTES = f"""
kept_event AS (
    INSERT INTO events (id, client, type, task_id, body)
    SELECT :event_id, n.client, 'task.queued', n.id,
        json_build_object('type', 'task.queued', 'timestamp', {moment_sql("now()")}, 'data', {task_json("n")})::text
    FROM new n WHERE n.state = 'queued'
    RETURNING id, client, type, task_id
),
event AS (
    SELECT e.id, e.client, e.type, n.callback_subscription_id, n.model_id, n.client_reference, n.metadata
    FROM kept_event e JOIN new n ON n.id = e.task_id
),
delivery AS ({FAN_OUT_SQL})
"""
_INSERT = text(
    f"""
WITH {INLINE_SUBSCRIPTION_CTES},
new AS (
    INSERT INTO tasks (id, client, account, state, attempt, model_id, prompt, generations_count, model_parameters,
        assets, stored_bytes, client_reference, metadata, priority, max_credits, deadline_at, traceparent,
        callback_subscription_id, claim_id, submitted_at, lease_until, slot_until, poll_at)
    SELECT :id, :client, :account, :state, :attempt, :model_id, :prompt, :generations_count, :model_parameters,
        :assets, :stored_bytes, :client_reference, :metadata, :priority, :max_credits,
        now() + make_interval(secs => CAST(:deadline_s AS float8)), :traceparent, (SELECT id FROM callback),
        CASE WHEN s.sending THEN :claim_id END, CASE WHEN s.sending THEN now() END,
        CASE WHEN s.sending THEN now() + make_interval(secs => :lease_s) END,
        CASE WHEN s.sending THEN now() + make_interval(secs => :slot_s) END, now() + make_interval(secs => :look_s)
    FROM (SELECT CAST(:state AS text) = 'submitting' AS sending) AS s
    RETURNING *
),
{QUEUED_EVENT_CTES}
SELECT n.id, n.state, n.version, {task_json("n")}::text AS body, c.id AS subscription_id, c.created AS is_new
FROM new n LEFT JOIN callback c ON true
"""
).bindparams(
    bindparam("id", type_=pg.UUID(as_uuid=True)),
    bindparam("claim_id", type_=pg.UUID(as_uuid=True)),
    bindparam("event_id", type_=pg.UUID(as_uuid=True)),
    bindparam("subscription_id", type_=pg.UUID(as_uuid=True)),
    bindparam("model_parameters", type_=pg.JSONB),
    bindparam("assets", type_=pg.JSONB),
    bindparam("metadata", type_=pg.JSONB),
)
