"""GET /api/v1/tasks/{id}/events: what happens to a task, as server-sent events that can be resumed."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from starlette.responses import Response, StreamingResponse

from service.errors import Unavailable
from service.surfaces.native import task_answers as answers
from service.surfaces.native.shapes import Nothing
from service.surfaces.native.task_response import TaskId, read_task_id
from service.tasks.follow import TaskEvent, Told, follow, told_after
from service.tasks.state import is_final
from service.web.auth import SECURITY, Client
from service.web.context import Gateway, GatewayParts

RECONNECT_AFTER_MS = 2000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[*SECURITY])

LastEventId = Annotated[
    str | None, Header(description="The id of the last event that you have; only later ones are sent.")
]


class EventStream(StreamingResponse):
    """`text/event-stream`, for the OpenAPI document too."""

    media_type = "text/event-stream"


@router.get(
    "/tasks/{task_id}/events",
    summary="Follow a task",
    operation_id="followTask",
    response_class=EventStream,
    responses=answers.FOLLOWED,
)
async def follow_task(
    task_id: TaskId, gateway: GatewayParts, client: Client, _: Nothing, last_event_id: LastEventId = None
) -> Response:
    """The task's events from the first on, then each as it comes; the stream ends after the event that ends the task.

    `data` is the JSON that subscribers get, `id` its webhook-id. After a cut, send the last `id` as `Last-Event-ID`, as
    browsers do. When there is no news for a while, a comment comes.
    """
    seen = _event_id(last_event_id)
    told = await told_after(gateway.resources.db, client, read_task_id(task_id), seen)
    if is_final(told.state) and not told.events:
        # This status alone stops a browser's EventSource from coming back for ever.
        return Response(status_code=204, headers=_HEADERS)
    gateway.watch.require_room()
    return EventStream(_frames(gateway, client, told), headers=_HEADERS)


async def _frames(gateway: Gateway, client: str, told: Told) -> AsyncIterator[str]:
    yield f"retry: {RECONNECT_AFTER_MS}\n\n"
    resources = gateway.resources
    try:
        # A comment now and then: proxies on the way close connections on which nothing passes.
        async with aclosing(
            follow(gateway.watch, resources.db, client, told, resources.settings.stream_quiet_s)
        ) as events:
            async for event in events:
                yield ":\n\n" if event is None else _frame(event)
    except Unavailable:
        return  # the caller comes back, and goes on where the stream broke off


def _frame(event: TaskEvent) -> str:
    lines = "\n".join(f"data: {line}" for line in event.body.split("\n"))
    return f"id: {event.id}\nevent: {event.type}\n{lines}\n\n"


def _event_id(presented: str | None) -> UUID | None:
    """The id; None, and so every event again, for what is none of ours."""
    try:
        return UUID(presented) if presented else None
    except ValueError:
        return None
