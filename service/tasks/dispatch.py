"""The loop that sends what waits: fair between clients, oldest first within one, as many as slots are free."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.db.ids import new_id
from service.db.listen import TASKS
from service.errors import AssetsGone, GatewayError
from service.resources import Resources
from service.tasks.accounts import lock_account
from service.tasks.advance import News, advance
from service.tasks.asked import Claim
from service.tasks.asset_store import load_assets
from service.tasks.durations import Durations
from service.tasks.schemas import TaskRequest
from service.tasks.send import Sendable, send
from service.uploads.spool import SpoolFile

BATCH = 20
LOST = "What was uploaded for the task is not there any more; nothing was sent or charged."

log = structlog.get_logger(__name__)


class DispatchLoop:
    """Claims queued tasks under the account's lock and makes their calls beside each other."""

    name = "dispatch"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._durations = Durations(resources.db, resources.settings)
        self._sending: set[asyncio.Task[None]] = set()
        # With any change a slot may have come free, or a task may have come in.
        resources.bell.hear(TASKS, lambda _: self.wake.set())

    async def turn(self) -> float:
        """Claim what may be sent and begin to send it."""
        if self._resources.settings.dispatch:
            send_before = time.monotonic() + self._resources.settings.lease_s
            for row in await self._pick():
                claim = Claim(UUID(str(row.id)), UUID(str(row.claim_id)), row.attempt, send_before, True)
                task = asyncio.create_task(self._send(claim, row))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        return self._resources.settings.poll_floor_s

    async def drain(self) -> None:
        """Claim nothing more and let the calls under way end."""
        if self._sending:
            await asyncio.wait(self._sending)

    async def _pick(self) -> Sequence[Row[Any]]:
        """Claim as many tasks as slots are free. Nothing waits most of the time: then no lock is taken."""
        settings, database = self._resources.settings, self._resources.db
        account = {"account": settings.upstream_account}
        if not (await database.statement(_IS_WAITING, account))[0][0]:
            return ()
        slots_s = await self._durations.slots_s()
        async with database.transaction() as connection:
            locked = await lock_account(connection, settings.upstream_account)
            free = min(locked.free_slots(settings.upstream_max_active_tasks, BATCH), BATCH)
            if not free:
                return ()
            values = {
                **account,
                "free": free,
                "claim_id": new_id(),
                "lease_s": settings.lease_s,
                "slot_s": settings.upstream_slot_max_s,
                "slots_s": slots_s,
            }
            return (await connection.execute(_PICK, values)).all()

    async def _send(self, claim: Claim, row: Row[Any]) -> None:
        try:
            with self._resources.spool.open() as spool:
                sendable = await self._loaded(claim, row, spool)
                if sendable is not None:
                    await send(self._resources, claim, sendable)
        except Exception:
            # The claim's lease ends and the task becomes unknown: nothing of it is sent twice.
            log.exception("dispatch_failed", task_id=str(claim.task_id))

    async def _loaded(self, claim: Claim, row: Row[Any], spool: SpoolFile) -> Sendable | None:
        """What is to be sent; None when the task is back in the queue or failed, since nothing was sent."""
        news = News(claim.task_id, "not_taken", attempt=claim.attempt, claim_id=claim.claim_id)
        try:
            assets = await load_assets(self._resources.db, claim.task_id, row.assets, spool)
        except AssetsGone:
            log.error("assets_gone", task_id=str(claim.task_id))
            lost = News(claim.task_id, "not_taken_finally", error_code="assets_gone", error_message=LOST)
            await advance(self._resources, lost)
            return None
        except GatewayError as exc:
            log.warning("not_dispatched", task_id=str(claim.task_id), error=exc.code)
            await advance(self._resources, news)
            return None
        wanted = TaskRequest(row.prompt, row.model_id, row.generations_count, row.model_parameters, assets=assets)
        return Sendable(row.client, wanted, spool if assets else None, is_stored=True)


# One that the upstream has spoken of was taken after all: its report is on its way to the row.
_READY = """state = 'queued' AND account = :account AND upstream_task_id IS NULL
    AND (send_after IS NULL OR send_after <= now())"""
_IS_WAITING = text(f"SELECT EXISTS (SELECT FROM tasks WHERE {_READY})")

# Clients one by one along the index, of each its next few; a client's turn is what it has open already and its place in
# its own line, so that who has nothing open comes first, and of those who was served longest ago.
_PICK = text(
    f"""
WITH RECURSIVE clients AS (
    (SELECT client FROM tasks WHERE state = 'queued' AND account = :account ORDER BY client LIMIT 1)
    UNION ALL
    SELECT (SELECT t.client FROM tasks t WHERE t.state = 'queued' AND t.account = :account AND t.client > c.client
        ORDER BY t.client LIMIT 1)
    FROM clients c WHERE c.client IS NOT NULL
),
open AS (
    SELECT client, count(*) AS tasks FROM tasks WHERE account = :account AND slot_until > now() GROUP BY client
),
next AS (
    SELECT q.id, c.client, q.priority, COALESCE(o.tasks, 0) + q.place AS turn, l.sent_at
    FROM clients c LEFT JOIN open o ON o.client = c.client
    LEFT JOIN queue_turns l ON l.account = :account AND l.client = c.client
    CROSS JOIN LATERAL (
        SELECT t.id, t.priority, row_number() OVER (ORDER BY t.priority, t.id) AS place
        FROM tasks t WHERE {_READY} AND t.client = c.client ORDER BY t.priority, t.id LIMIT :free
    ) q
    WHERE c.client IS NOT NULL
),
picked AS (SELECT id, client FROM next ORDER BY priority, turn, sent_at NULLS FIRST, id LIMIT :free),
served AS (
    INSERT INTO queue_turns (account, client) SELECT DISTINCT CAST(:account AS text), client FROM picked
    ON CONFLICT (account, client) DO UPDATE SET sent_at = now()
)
UPDATE tasks t SET state = 'submitting', version = version + 1, attempt = attempt + 1, claim_id = :claim_id,
    updated_at = now(), submitted_at = now(), send_after = NULL,
    lease_until = now() + make_interval(secs => :lease_s),
    slot_until = now() + make_interval(secs => COALESCE((:slots_s ->> t.model_id)::float8, :slot_s)),
    poll_at = now() + make_interval(secs => :lease_s)
FROM picked
WHERE t.id = picked.id AND t.state = 'queued'
RETURNING t.id, t.claim_id, t.attempt, t.client, t.prompt, t.model_id, t.generations_count, t.model_parameters, t.assets
"""
).bindparams(bindparam("claim_id", type_=pg.UUID(as_uuid=True)), bindparam("slots_s", type_=pg.JSONB))
