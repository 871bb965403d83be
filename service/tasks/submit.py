"""A request for images, from the commit before the paid call to the answer."""

from dataclasses import dataclass
from typing import assert_never

from service.db.listen import DELIVERIES, TASKS
from service.errors import Unavailable, UpstreamRefused, UpstreamUnavailable
from service.resources import Resources
from service.tasks.asked import Asked, Begun, InlineCallback, Joined, Queued
from service.tasks.begin import begin
from service.tasks.send import Sendable, send
from service.tasks.store import StoredTask, get_task
from service.upstream.outcome import Accepted, NotAccepted, Refused, SubmitOutcome, Unknown

RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task that is kept: sent, of unknown outcome, or waiting. `is_replay`: an earlier request made it."""

    task: StoredTask
    callback: InlineCallback | None
    is_replay: bool = False


async def submit_task(resources: Resources, asked: Asked) -> Submitted:
    """Make the task, and its paid call when a slot is free.

    Raises UpstreamRefused or UpstreamUnavailable after the task is recorded as failed (nothing was charged),
    IdempotencyKeyReused, LimitReached when the queue is full, Unavailable when nothing could be stored. An unknown
    outcome is a 2xx: the task is healed by its callback or by the reconciler, and is never sent again.
    """
    begun = await begin(resources, asked)
    match begun:
        case Joined(task_id=task_id):
            return Submitted(await get_task(resources.db, asked.client, task_id), None, is_replay=True)
        case Queued(task=task, callback=callback):
            resources.bell.ring(TASKS, task.id.hex)
            resources.bell.ring(DELIVERIES)
            return Submitted(task, callback)
        case Begun():
            return await _sent(resources, asked, begun)
        case _:
            assert_never(begun)


async def _sent(resources: Resources, asked: Asked, begun: Begun) -> Submitted:
    sendable = Sendable(asked.client, asked.wanted, asked.upload, is_stored=False)
    outcome, applied = await send(resources, begun.claim, sendable)
    if applied.task is None:
        raise Unavailable("The task is gone from the database.")
    _raise_if_not_sent(outcome, applied.task)
    return Submitted(applied.task, begun.callback)


def _raise_if_not_sent(outcome: SubmitOutcome, task: StoredTask) -> None:
    """Tell the caller of a verdict, or of a call that was not taken and cannot wait; unless a report came first."""
    if task.state != "failed":
        return
    match outcome:
        case Refused(status=status, code=code, message=message):
            raise UpstreamRefused(message, upstream_status=status, upstream_code=code)
        case NotAccepted(reason=reason, code=code, retry_after_s=retry_after_s, message=message):
            raise UpstreamUnavailable(
                f"The image API did not take the task ({reason}): {message} Nothing was charged; send it again.",
                upstream_code=code,
                retry_after_s=retry_after_s or RETRY_AFTER_S,
            )
        case Accepted() | Unknown():
            return
        case _:
            assert_never(outcome)
