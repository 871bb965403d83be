"""The loop that tidies: assets, idempotency keys and unanswered requests that have outlived their use."""

import asyncio

import structlog
from sqlalchemy import text

from service.resources import Resources
from service.tasks.unanswered import FORGET_OLD

REST_S = 60.0
TASKS_AT_ONCE = 100
KEY_LIFE_S = 86_400.0

log = structlog.get_logger(__name__)


class JanitorLoop:
    """Deletes a little at a time, so that nobody waits for it."""

    name = "janitor"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources

    async def turn(self) -> float:
        """One portion of each; soon again while there is more."""
        keep_s = self._resources.settings.asset_keep_s
        assets = await self._resources.db.statement(_ASSETS, {"keep_s": keep_s, "most": TASKS_AT_ONCE})
        of_age = {"life_s": KEY_LIFE_S, "most": TASKS_AT_ONCE * 10}
        keys = await self._resources.db.statement(_KEYS, of_age)
        unanswered = await self._resources.db.statement(FORGET_OLD, of_age)
        if assets or keys or unanswered:
            log.info("tidied", tasks_with_assets=len(assets), idempotency_keys=len(keys), unanswered=len(unanswered))
        is_done = len(assets) < TASKS_AT_ONCE and max(len(keys), len(unanswered)) < TASKS_AT_ONCE * 10
        return REST_S if is_done else 1.0

    async def drain(self) -> None:
        """Nothing outlives a turn."""


# The ids go by as an array: joined, the planner would rather read a large table whole than trust a small estimate.
_ASSETS = text(
    """
    WITH done AS MATERIALIZED (
        SELECT t.id FROM tasks t
        WHERE t.ended_at < now() - make_interval(secs => :keep_s) AND t.stored_bytes > 0
        ORDER BY t.ended_at LIMIT :most
    ),
    gone AS (DELETE FROM asset_chunks c WHERE c.task_id = ANY (ARRAY(SELECT id FROM done)))
    UPDATE tasks t SET stored_bytes = 0 WHERE t.id = ANY (ARRAY(SELECT id FROM done)) RETURNING t.id
    """
)
# A key lives a day, and a day beyond the end of its task.
_KEYS = text(
    """
    DELETE FROM idempotency_keys k WHERE (k.client, k.route, k.key) IN (
        SELECT o.client, o.route, o.key FROM idempotency_keys o LEFT JOIN tasks t ON t.id = o.task_id
        WHERE o.created_at < now() - make_interval(secs => :life_s)
            AND (t.id IS NULL OR t.ended_at < now() - make_interval(secs => :life_s))
        LIMIT :most
    )
    RETURNING k.key
    """
)
