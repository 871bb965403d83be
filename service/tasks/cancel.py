"""Takes a task back: at once while it waits, by asking the image API where that is enabled and the task was sent."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects import postgresql as pg

from service.errors import AlreadyFinal, AlreadySent, NotFound, Unavailable, UpstreamUnknown
from service.resources import Resources
from service.tasks.advance import News, advance
from service.tasks.send import stored_in_spite_of_faults
from service.tasks.state import is_final
from service.tasks.store import StoredTask, get_task

# A task that moves again and again between our look and our word on it is not to be caught.
LOOKS = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Canceled:
    """The task as it stands now; `was_sent`: the image API was asked, and its word may be still to come."""

    task: StoredTask
    was_sent: bool


async def cancel_task(resources: Resources, client: str, task_id: UUID) -> Canceled:
    """Cancel the client's task, in whatever state it is found.

    Raises NotFound (none, or another client's), AlreadyFinal, AlreadySent (and the image API may not be asked, or
    there is nothing to ask it by), UpstreamRefused or UpstreamUnavailable when it would not do it.
    """
    for _ in range(LOOKS):
        found = await _look(resources, client, task_id)
        if is_final(found.state):
            raise AlreadyFinal(f"The task has ended already: {found.state}.")
        if found.state != "queued":
            return await _cancel_sent(resources, client, found)
        # About the attempt that we saw: once the task is being sent it has another, and this moves nothing.
        applied = await advance(resources, News(task_id, "canceled", attempt=found.attempt))
        if applied.outcome == "moved" and applied.task is not None:
            return Canceled(applied.task, was_sent=False)
    raise Unavailable("The task is being moved by others; try again.", retry_after_s=1.0)


async def _cancel_sent(resources: Resources, client: str, found: Row[Any]) -> Canceled:
    """Ask for the deletion; what it gives back is what the task does not cost. A report that comes first wins."""
    if not resources.settings.upstream_cancel:
        raise AlreadySent("The task was sent to the image API already, and this gateway does not ask for it back.")
    if found.upstream_task_id is None:
        raise AlreadySent("The image API has not named the task yet, so it cannot be asked for it; try again later.")
    try:
        refund = await resources.upstream.delete([found.upstream_task_id])
    except UpstreamUnknown:
        # It may be done: the next look at the image API tells, and ends the task if it is.
        log.warning("cancel_outcome_unknown", task_id=str(found.id))
        return Canceled(await get_task(resources.db, client, found.id), was_sent=True)
    news = News(found.id, "canceled", attempt=found.attempt, credits=_cost_after(found.credits, refund))
    # What was given back is said once: asked again, the image API would name no refund.
    applied = await stored_in_spite_of_faults(news.task_id, lambda: advance(resources, news))
    if applied.task is None:
        raise NotFound("There is no such task.")
    return Canceled(applied.task, was_sent=True)


def _cost_after(charged: Decimal | None, refund: Decimal | None) -> Decimal | None:
    """What is left of the charge; None when it is not known, so that what is known stands."""
    return None if charged is None or refund is None else max(charged - refund, Decimal(0))


async def _look(resources: Resources, client: str, task_id: UUID) -> Row[Any]:
    rows = await resources.db.statement(_LOOK, {"id": task_id, "client": client})
    if not rows:
        raise NotFound("There is no such task.")
    return rows[0]


_LOOK = text(
    """
    SELECT id, state, attempt, upstream_task_id, COALESCE(credits, estimated_credits) AS credits
    FROM tasks WHERE id = :id AND client = :client
    """
).bindparams(bindparam("id", type_=pg.UUID(as_uuid=True)))
