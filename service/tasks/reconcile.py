"""The loop that heals: asks about quiet tasks, searches lost ones, expires leases, ends what nobody will report."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import structlog
from sqlalchemy import Row

from service.errors import UpstreamError, UpstreamRefused
from service.resources import Resources
from service.settings import Settings
from service.tasks.advance import News, advance, news_of
from service.tasks.due import claim_without_asking, is_any_due, note_missing, postpone, put_off_young
from service.tasks.durations import Durations
from service.tasks.estimate import with_estimate
from service.tasks.poll_budget import PollBudget
from service.tasks.search import Search, polled
from service.tasks.state import FINAL

SEARCH_WITHIN_S = 60.0
GROWTH = 1.25
MOST_AT_ONCE = 32
MOST_WITHOUT_ASKING = 200
MISSING_LOOK_S = 60.0

log = structlog.get_logger(__name__)

Due = Row[Any]


class ReconcileLoop:
    """Looks at tasks whose `poll_at` has come; asks as far as the account's poll budget reaches."""

    name = "reconcile"

    def __init__(self, resources: Resources) -> None:
        self.wake = asyncio.Event()
        self._resources = resources
        self._budget = PollBudget(resources)
        self._durations = Durations(resources.db, resources.settings)
        self._search = Search(resources, self._budget)

    async def turn(self) -> float:
        """Settle what the clock settles, then ask about what is due; at once again while there is more."""
        settings, database = self._resources.settings, self._resources.db
        if not await is_any_due(database):
            return settings.poll_floor_s
        await put_off_young(
            database, await self._durations.late_first_looks_s(), settings.task_max_age_s, MOST_WITHOUT_ASKING
        )
        timed = await claim_without_asking(
            database, settings.task_max_age_s, settings.look_lease_s, MOST_WITHOUT_ASKING
        )
        asked = await self._budget.claim(settings.look_lease_s, MOST_AT_ONCE)
        lost = [task for task in timed if is_lost(settings, task)]
        looks = [self._look(task) for task in (*timed, *asked.tasks) if task not in lost]
        await asyncio.gather(self._search_for(lost), *looks)
        if len(timed) == MOST_WITHOUT_ASKING or len(asked.tasks) == MOST_AT_ONCE:
            return 0.0
        # With the budget spent there may be more to ask about, as soon as there is a token.
        return min(settings.poll_floor_s, asked.next_token_in_s or settings.poll_floor_s)

    async def drain(self) -> None:
        """Nothing outlives a turn."""

    async def _search_for(self, lost: Sequence[Due]) -> None:
        if not lost:
            return
        try:
            async with asyncio.timeout(SEARCH_WITHIN_S):
                await self._search.settle(lost)
        except Exception:
            log.exception("search_failed", task_ids=[str(task.id) for task in lost])

    async def _look(self, task: Due) -> None:
        try:
            news = settled_by_time(self._resources.settings, task) or await self._asked(task)
            if news is not None:
                await advance(self._resources, await with_estimate(self._resources, news))
        except Exception:
            # One task must not keep the others from being looked at; its own next look comes with its lease.
            log.exception("look_failed", task_id=str(task.id))

    async def _asked(self, task: Due) -> News | None:
        """What the upstream says about the task, with the time of the next look; None when it said nothing."""
        next_look_s = look_after_s(self._resources.settings, task)
        if task.upstream_task_id is None:
            if task.state != "queued":  # that one was put off to its deadline
                await postpone(self._resources.db, task.id, next_look_s)
            return None
        try:
            told = await self._resources.upstream.task(task.upstream_task_id)
        except UpstreamError as exc:
            if isinstance(exc, UpstreamRefused) and exc.upstream_status == HTTPStatus.NOT_FOUND:
                return await self._missing(task, next_look_s)
            log.warning("poll_failed", task_id=str(task.id), error=exc.code, upstream_status=exc.upstream_status)
            await self._budget.rest_if_asked(exc)
            patience_s = min(exc.retry_after_s or 0.0, self._resources.settings.reconcile_interval_max_s)
            await postpone(self._resources.db, task.id, max(next_look_s, patience_s))
            return None
        # We asked by the id that we know: another one in the answer is the upstream's affair.
        news = replace(news_of(task.id, told), attempt=task.attempt, upstream_id=None, next_look_s=next_look_s)
        return news if news.report == "running" else replace(news, evidence=polled(told))

    async def _missing(self, task: Due, next_look_s: float) -> News | None:
        """The upstream denies the task: brief right after a create, the end of it when it lasts for minutes."""
        missing_s = await note_missing(self._resources.db, task.id, min(next_look_s, MISSING_LOOK_S))
        if missing_s is None or missing_s < self._resources.settings.reconcile_missing_s:
            return None
        return News(task.id, "gone", error_code="upstream_task_gone", error_message=GONE)


GONE = "The image API took the task but does not know it any more."
TOO_OLD = "The task had no end when its longest age was reached. A late result is still added to it."
GAVE_UP = "Nobody knows whether the image API took the task, and nothing was heard of it. It is never sent again."


def is_lost(settings: Settings, task: Due) -> bool:
    """Whether only a search can tell what became of the task."""
    is_unknown = task.state == "unknown" and task.upstream_task_id is None
    return is_unknown and settled_by_time(settings, task) is None


def settled_by_time(settings: Settings, task: Due) -> News | None:
    """What the clock alone says about the task."""
    if task.state in FINAL:
        return None
    if task.state == "submitting":
        if task.lease_left_s > 0:
            return None
        first_s = settings.unknown_search_first_s
        return News(task.id, "outcome_unknown", claim_id=task.claim_id, next_look_s=first_s)
    if task.state == "unknown" and task.upstream_task_id is None and task.submitted_s > settings.unknown_give_up_s:
        return News(task.id, "gave_up", error_code="submission_outcome_unknown", error_message=GAVE_UP)
    if task.left_s <= 0:
        return News(task.id, "deadline_passed", error_code="deadline_exceeded", error_message=TOO_OLD)
    return None


def look_after_s(settings: Settings, task: Due) -> float:
    """Seconds to the next look: growing by a quarter with each, at least a quarter of the age, with jitter.

    Never past the end of a lease or the task's deadline, so that both are seen in time.
    """
    if task.state == "submitting" and task.lease_left_s > 0:
        return float(task.lease_left_s)
    grown_s = max(settings.first_look_s * GROWTH ** min(task.polls, 60), task.submitted_s * (GROWTH - 1))
    wait_s = min(grown_s, settings.reconcile_interval_max_s) * random.uniform(0.9, 1.1)
    return float(min(wait_s, task.left_s) if task.left_s > 0 else wait_s)
