"""Moves a task by what was learned about it: state, facts, evidence, event and deliveries in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import telemetry
from service.db.ids import new_id
from service.db.listen import DELIVERIES, TASKS
from service.resources import Resources
from service.tasks.result_images import shown_images
from service.tasks.state import EventType, Report, is_terminal
from service.tasks.store import StoredTask, stored
from service.tasks.transition import transition
from service.upstream.wire import ResultImage, TaskReport

Outcome = Literal["moved", "no_move", "foreign", "orphan"]

# After one of these the upstream holds no slot for the task any more.
SETTLED_BY: frozenset[Report] = frozenset(
    {"finished", "errored", "refused", "not_taken", "not_taken_finally", "gone", "canceled"}
)
# These show that the upstream knows the task.
SEEN_BY: frozenset[Report] = frozenset({"accepted", "running", "finished", "errored"})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a report came from and its bytes as they came."""

    source: Literal["callback", "poll"]
    body: bytes


@dataclass(frozen=True, slots=True)
class News:
    """What somebody learned about one task. `attempt` and `claim_id` say which call it is about; None: the latest.

    Facts (upstream id, credits) are written in any state where nothing is known yet; the rest only with a move.
    `next_look_s` is when the reconciler shall look again if the task stays open.
    """

    task_id: UUID
    report: Report
    attempt: int | None = None
    claim_id: UUID | None = None
    upstream_id: str | None = None
    progress: int | None = None
    estimated_credits: Decimal | None = None
    credits: Decimal | None = None
    images: tuple[ResultImage, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    next_look_s: float | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a report: the task as it stands now (None for an orphan) and the event that told of it."""

    outcome: Outcome
    task: StoredTask | None
    event: EventType | None = None


def news_of(task_id: UUID, told: TaskReport) -> News:
    """The news in a task object of the upstream. `done` without images is no end yet: they may follow."""
    if told.phase == "failed":
        code, message = told.error_code or "upstream_failed", told.error_message or "The image API gave no reason."
        return News(task_id, "errored", upstream_id=told.upstream_id, error_code=code, error_message=message)
    finished = told.phase == "done" and bool(told.images)
    return News(
        task_id,
        "finished" if finished else "running",
        upstream_id=told.upstream_id,
        progress=100 if finished else told.progress,
        credits=told.credits if finished else None,
        images=told.images,
    )


async def advance(resources: Resources, news: News) -> Applied:
    """Apply one report and commit; then wake waiters and the delivery loop, here and in the other processes.

    One statement, so one round trip: it locks the task, keeps the evidence, picks the move from the table of
    `state.moves_for`, and writes event and deliveries with it. Raises Unavailable when Postgres is away: nothing
    of it is stored then, and the report can be given again.
    """
    statement, values = transition(news.report), _values(resources, news)
    try:
        rows = await resources.db.statement(statement, values)
    except IntegrityError:
        # Another task took this upstream id between our look and our write; the second look sees it.
        rows = await resources.db.statement(statement, values)
    applied = _applied(news, rows)
    announce(resources, news, applied)
    return applied


async def apply_news(connection: AsyncConnection, resources: Resources, news: News) -> Applied:
    """`advance` within the caller's transaction; call `announce` after its commit. Not for news of an upstream id."""
    result = await connection.execute(transition(news.report), _values(resources, news))
    return _applied(news, result.all())


def announce(resources: Resources, news: News, applied: Applied) -> None:
    """Count what a committed report did, and wake whom it concerns."""
    _count(news, applied)
    if applied.event is not None:
        resources.bell.ring(DELIVERIES)
    if applied.task is not None:
        resources.bell.ring(TASKS, applied.task.id.hex)


def _applied(news: News, rows: Sequence[Row[Any]]) -> Applied:
    if not rows or rows[0].id is None:
        return Applied("orphan", None)
    row = rows[0]
    if row.stale:
        telemetry.stale_attempt_reports_total.inc()
        log.error("report_for_attempt_not_taken", task_id=str(news.task_id), attempt=news.attempt, report=news.report)
    if row.is_foreign:
        telemetry.upstream_id_mismatches_total.inc()
        log.error("upstream_id_mismatch", task_id=str(news.task_id), upstream_task_id=news.upstream_id)
    return Applied("foreign" if row.is_foreign else "moved" if row.to_state else "no_move", stored(row), row.event)


def _count(news: News, applied: Applied) -> None:
    source = news.evidence.source if news.evidence else "submit"
    telemetry.reports_total.labels(source, applied.outcome).inc()
    if applied.outcome == "moved" and applied.task is not None:
        telemetry.moves_total.labels(applied.task.state).inc()
        log.info(
            "task_moved",
            task_id=str(news.task_id),
            state=applied.task.state,
            report=news.report,
            told=applied.event,
            source=source,
            error_code=news.error_code,
        )


def _values(resources: Resources, news: News) -> dict[str, Any]:
    return shown_images(resources, news.task_id, news.images) | {
        "id": news.task_id,
        "attempt": news.attempt,
        "claim_id": news.claim_id,
        "upstream_id": news.upstream_id,
        "progress": news.progress,
        "estimated_credits": news.estimated_credits,
        "credits": news.credits,
        "error_code": news.error_code,
        "error_message": news.error_message,
        "terminal": is_terminal(news.report),
        "settled": news.report in SETTLED_BY,
        "seen": news.report in SEEN_BY,
        "next_look_s": news.next_look_s,
        "first_look_s": resources.settings.first_look_s,
        "report_id": new_id(),
        "source": news.evidence.source if news.evidence else None,
        "body": news.evidence.body if news.evidence else None,
        "event_id": new_id(),
    }
