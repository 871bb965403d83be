"""The loop that heals: asks about quiet tasks, expires leases, ends what nobody will ever report."""

import asyncio
import random
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.errors import UpstreamError, UpstreamRefused
from service.resources import Resources
from service.tasks.advance import Evidence, News, advance, news_of
from service.upstream.wire import TaskReport

# A look that never came back (its process died) is repeated after this long.
LOOK_LEASE_S = 90.0
GROWTH = 1.25
MOST_AT_ONCE = 32

log = structlog.get_logger(__name__)

Due = Row[Any]


class ReconcileLoop:
    """Looks at tasks whose `poll_at` has come; at most so many a second, spent as tokens."""

    name = "reconcile"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._tokens = TokenBucket(resources.settings.reconcile_polls_per_s)

    async def turn(self) -> float:
        """Look at what is due, as far as the tokens reach."""
        affordable = min(self._tokens.available(), MOST_AT_ONCE)
        if affordable < 1:
            return 1.0 / self._tokens.per_s
        due = await self._resources.db.statement(_CLAIM, {"claim": LOOK_LEASE_S, "most": affordable})
        self._tokens.spend(len(due))
        await asyncio.gather(*(self._look(task) for task in due))
        return self._resources.settings.poll_floor_s if len(due) < affordable else 0.0

    async def drain(self) -> None:
        """Nothing outlives a turn."""

    async def _look(self, task: Due) -> None:
        try:
            news = settled_by_time(self._resources, task) or await self._asked(task)
            if news is not None:
                await advance(self._resources, news)
        except Exception:
            # One task must not keep the others from being looked at; its own next look comes with its lease.
            log.exception("look_failed", task_id=str(task.id))

    async def _asked(self, task: Due) -> News | None:
        """What the upstream says about the task, with the time of the next look; None when it said nothing."""
        next_look_s = look_after_s(self._resources, task.polls)
        if task.upstream_task_id is None:
            await self._postpone(task, next_look_s)
            return None
        try:
            told = await self._resources.upstream.task(task.upstream_task_id)
        except UpstreamError as exc:
            if isinstance(exc, UpstreamRefused) and exc.upstream_status == HTTPStatus.NOT_FOUND:
                return await self._missing(task, next_look_s)
            log.warning("poll_failed", task_id=str(task.id), error=exc.code, upstream_status=exc.upstream_status)
            await self._postpone(task, max(next_look_s, exc.retry_after_s or 0.0))
            return None
        # We asked by the id that we know: another one in the answer is the upstream's affair.
        news = replace(news_of(task.id, told), attempt=task.attempt, upstream_id=None, next_look_s=next_look_s)
        return news if news.report == "running" else replace(news, evidence=_evidence(told))

    async def _missing(self, task: Due, next_look_s: float) -> News | None:
        """The upstream denies the task: brief right after a create, the end of it when it lasts for minutes."""
        rows = await self._resources.db.statement(_MISSING, {"id": task.id, "next": min(next_look_s, 60.0)})
        if not rows or rows[0].missing_s < self._resources.settings.reconcile_missing_s:
            return None
        return News(task.id, "gone", error_code="upstream_task_gone", error_message=GONE)

    async def _postpone(self, task: Due, next_look_s: float) -> None:
        await self._resources.db.statement(_POSTPONE, {"id": task.id, "next": next_look_s})


GONE = "The image API took the task but does not know it any more."
TOO_OLD = "The task had no end when its longest age was reached. A late result is still added to it."
GAVE_UP = "Nobody knows whether the image API took the task, and nothing was heard of it. It is never sent again."


def settled_by_time(resources: Resources, task: Due) -> News | None:
    """What the clock alone says about the task."""
    settings = resources.settings
    if task.state == "submitting":
        return News(task.id, "outcome_unknown", claim_id=task.claim_id) if task.lease_over else None
    if task.state == "unknown" and task.upstream_task_id is None and task.submitted_s > settings.unknown_give_up_s:
        return News(task.id, "gave_up", error_code="submission_outcome_unknown", error_message=GAVE_UP)
    if task.age_s > settings.task_max_age_s:
        return News(task.id, "deadline_passed", error_code="deadline_exceeded", error_message=TOO_OLD)
    return None


def look_after_s(resources: Resources, looks: int) -> float:
    """Seconds to the next look after so many: growing by a quarter each, so a fifth of the task's age, with jitter."""
    settings = resources.settings
    return min(settings.first_look_s * GROWTH ** min(looks, 60), settings.reconcile_interval_max_s) * random.uniform(
        0.9, 1.1
    )


def _evidence(told: TaskReport) -> Evidence:
    return Evidence("poll", orjson.dumps(asdict(told), default=str))


class TokenBucket:
    """So many a second, saved up for one second."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._saved = max(per_s, 1.0)
        self._at_s = asyncio.get_running_loop().time()

    def available(self) -> int:
        """Whole tokens that may be spent now."""
        now_s = asyncio.get_running_loop().time()
        self._saved = min(self._saved + (now_s - self._at_s) * self.per_s, max(self.per_s, 1.0))
        self._at_s = now_s
        return int(self._saved)

    def spend(self, tokens: int) -> None:
        """Take them out."""
        self._saved -= tokens


_CLAIM = text(
    """
    UPDATE tasks t SET poll_at = now() + make_interval(secs => :claim), polls = polls + 1
    WHERE id IN (
        SELECT id FROM tasks WHERE poll_at <= now() ORDER BY poll_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING id, state, attempt, claim_id, upstream_task_id, polls, lease_until < now() AS lease_over,
        EXTRACT(EPOCH FROM now() - created_at)::float8 AS age_s,
        EXTRACT(EPOCH FROM now() - submitted_at)::float8 AS submitted_s
    """
)
_MISSING = text(
    """
    UPDATE tasks SET missing_since = COALESCE(missing_since, now()), poll_at = now() + make_interval(secs => :next)
    WHERE id = :id AND poll_at IS NOT NULL
    RETURNING EXTRACT(EPOCH FROM now() - missing_since)::float8 AS missing_s
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
_POSTPONE = text(
    "UPDATE tasks SET poll_at = now() + make_interval(secs => :next) WHERE id = :id AND poll_at IS NOT NULL"
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
