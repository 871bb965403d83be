"""Looks for submissions of unknown outcome in the image API's own list of tasks; nothing is ever sent again."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import structlog
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.errors import UpstreamError, UpstreamRefused
from service.resources import Resources
from service.tasks.advance import Evidence, News, advance, news_of
from service.tasks.due import postpone
from service.tasks.listing import Listing, reaches
from service.tasks.matching import CLOCKS_APART, Found, Lost, Matches, Named, NameReader, match_lost
from service.tasks.poll_budget import PollBudget
from service.upstream.receive_url import verify
from service.upstream.wire import TaskPage, TaskReport

PER_PAGE = 100
MOST_PAGES = 10
# Beyond this many at once only a receive_url settles: comparing contents pays off when nobody is left out.
MOST_LOST = 500
# How long an image API that has no list is not asked for one again.
NO_LIST_S = 600.0
NOT_FOUND = "The image API does not list the task: it never took it. Nothing was charged; it may be sent again."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SearchTimes:
    """When a submission is searched: at `first_s`, 4 and 12 times that, then whenever its age has doubled.

    A search that would come after the give-up time comes then, so that giving up is not late either.
    """

    first_s: float
    longest_s: float
    give_up_s: float

    @property
    def settled_s(self) -> float:
        """The age at which a task that is not listed is taken as never having arrived."""
        return self.first_s * 12

    def next_in_s(self, age_s: float) -> float:
        """Seconds to the next search of a submission of this age."""
        planned = (self.first_s, self.first_s * 4, self.settled_s)
        ahead = [at_s - age_s for at_s in planned if at_s > age_s]
        next_s = min(ahead[0] if ahead else age_s, self.longest_s)
        return min(next_s, self.give_up_s - age_s) if age_s < self.give_up_s else next_s

    def confirm_in_s(self, age_s: float) -> float:
        """The same where another listing is needed soon, but not too early: there was none, or it did not hold it."""
        return min(self.next_in_s(age_s), max(self.first_s * 3, self.settled_s - age_s))


def polled(told: TaskReport) -> Evidence:
    """The evidence of an answer that we asked for."""
    return Evidence("poll", orjson.dumps(asdict(told), default=str))


class Search:
    """Searches for all unknown submissions of the account at once, whenever one of them is due."""

    def __init__(self, resources: Resources, budget: PollBudget) -> None:
        settings = resources.settings
        self._resources = resources
        self._budget = budget
        self._times = SearchTimes(
            settings.unknown_search_first_s, settings.reconcile_interval_max_s, settings.unknown_give_up_s
        )
        self._name_reader = name_reader(resources.callback_secrets)
        self._no_list_until_s = 0.0 if settings.upstream_lists_tasks else float("inf")

    async def settle(self, due: Sequence[Row[Any]]) -> None:
        """Search for the due submissions; who is not found and not certainly absent is put off."""
        listing = await self._listing(await self._lost())
        if listing is None:
            for task in due:
                await postpone(self._resources.db, task.id, _in_time(task, self._times.confirm_in_s(task.submitted_s)))
            return
        matches = await self._matches(listing)
        for found in matches.found:
            await self._take(found)
        ids_found = {found.task_id for found in matches.found}
        for task in due:
            if task.id not in ids_found:
                await self._note(task, listing, is_absent=task.id in matches.absent)

    async def _listing(self, lost: Sequence[Lost]) -> Listing | None:
        """The account's tasks back to the oldest of the lost ones; None when the image API has no list or no time."""
        if not lost or time.monotonic() < self._no_list_until_s or not await self._budget.has_token():
            return None
        try:
            return await self._pages(min(task.submitted_at for task in lost) - CLOCKS_APART)
        except UpstreamRefused as exc:
            self._no_list_until_s = time.monotonic() + NO_LIST_S
            log.warning("no_list_of_tasks", upstream_status=exc.upstream_status)
        except UpstreamError as exc:
            log.warning("search_failed", error=exc.code, upstream_status=exc.upstream_status)
            await self._budget.rest_if_asked(exc)
        return None

    async def _pages(self, since: datetime) -> Listing:
        pages = list[TaskPage]()
        for number in range(1, MOST_PAGES + 1):
            await self._budget.owe_listing()
            pages.append(await self._resources.upstream.tasks(number, PER_PAGE))
            if reaches(pages, since):
                return Listing.of(pages, is_whole=True)
        return Listing.of(pages, is_whole=False)

    async def _matches(self, listing: Listing) -> Matches:
        # First who is lost, then whose ids are ours: a task that is accepted meanwhile competes, and takes nothing.
        lost = await self._lost()
        ours = await self._ours([task.report.upstream_id for task in listing.tasks])
        strangers = [task for task in listing.tasks if task.report.upstream_id not in ours]
        if len(lost) > MOST_LOST:
            strangers = [task for task in strangers if task.receive_url is not None]
            found = match_lost(lost, strangers, self._name_reader, 0.0)
            return replace(found, absent=frozenset())
        call_s = self._resources.settings.submit_total_s
        return await asyncio.to_thread(match_lost, lost, strangers, self._name_reader, call_s)

    async def _lost(self) -> Sequence[Lost]:
        values = {"account": self._resources.settings.upstream_account, "most": MOST_LOST + 1}
        rows = await self._resources.db.statement(_LOST, values)
        return [Lost(**{**row._mapping, "asset_hashes": tuple(row.asset_hashes)}) for row in rows]

    async def _ours(self, upstream_ids: Sequence[str | None]) -> frozenset[str]:
        values = {"account": self._resources.settings.upstream_account, "ids": upstream_ids}
        return frozenset(row.upstream_task_id for row in await self._resources.db.statement(_OURS, values))

    async def _take(self, found: Found) -> None:
        told = found.listed.report
        news = replace(news_of(found.task_id, told), attempt=found.attempt)
        if news.report == "running":
            news = replace(news, report="accepted", estimated_credits=told.credits)
        else:
            news = replace(news, evidence=polled(told))
        log.info("submission_found", task_id=str(found.task_id), report=news.report, upstream_task_id=told.upstream_id)
        await advance(self._resources, news)

    async def _note(self, task: Row[Any], listing: Listing, *, is_absent: bool) -> None:
        """Put the task off; or end it when it was absent from a complete listing before, and long enough ago."""
        next_s = _in_time(task, (self._times.confirm_in_s if is_absent else self._times.next_in_s)(task.submitted_s))
        if not listing.is_complete:
            return await postpone(self._resources.db, task.id, next_s)
        values = {"id": task.id, "next_s": next_s, "is_absent": is_absent}
        rows = await self._resources.db.statement(_NOTE, values)
        if not is_absent or not rows or rows[0].missing_s <= 0 or task.submitted_s < self._times.settled_s:
            return None
        news = News(task.id, "not_taken_finally", attempt=task.attempt, error_code="submission_not_found")
        await advance(self._resources, replace(news, error_message=NOT_FOUND))
        return None


def _in_time(task: Row[Any], next_s: float) -> float:
    """No later than the task's deadline."""
    return float(min(next_s, max(task.left_s, 0.0)))


def name_reader(secrets: Sequence[bytes]) -> NameReader:
    """Reads task and attempt from a receive_url of ours: its last two segments, checked as at the door."""

    def read(url: str) -> Named | None:
        try:
            task_text, _, token = urlsplit(url).path.rpartition("/")
            task_id = UUID(task_text.rpartition("/")[2])
        except ValueError:
            return None
        attempt = verify(secrets, task_id, token)
        return None if attempt is None else Named(task_id, attempt)

    return read


# Also those whose call is under way: what the list holds may be theirs.
_LOST = text(
    """
    SELECT id AS task_id, client, attempt, model_id, prompt, generations_count, model_parameters,
        ARRAY(SELECT asset ->> 'sha256' FROM jsonb_array_elements(assets) AS asset) AS asset_hashes,
        submitted_at, state = 'unknown' AS is_searched
    FROM tasks
    WHERE account = :account AND poll_at IS NOT NULL AND upstream_task_id IS NULL AND submitted_at IS NOT NULL
        AND state IN ('submitting', 'unknown')
    ORDER BY submitted_at LIMIT :most
    """
).columns(model_parameters=pg.JSONB)
_OURS = text(
    "SELECT upstream_task_id FROM tasks WHERE account = :account AND upstream_task_id = ANY(CAST(:ids AS text[]))"
)
# `missing_since` is set by the first complete listing without the task, and cleared by one that may hold it. One from
# before this submission speaks of an earlier attempt.
_NOTE = text(
    """
    UPDATE tasks SET poll_at = now() + make_interval(secs => :next_s),
        missing_since = CASE
            WHEN :is_absent AND missing_since > submitted_at THEN missing_since
            WHEN :is_absent THEN now() END
    WHERE id = :id AND state = 'unknown' AND upstream_task_id IS NULL
    RETURNING EXTRACT(EPOCH FROM now() - missing_since)::float8 AS missing_s
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
