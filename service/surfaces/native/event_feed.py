"""GET /api/v1/events: everything that happened to a client's tasks, in an order that never skips anything."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.errors import FieldError, InvalidRequest
from service.subscribers.event_types import EventType
from service.subscribers.feed import FeedEvent, FeedFilter, Position, present_position
from service.subscribers.signature import webhook_id
from service.surfaces.native import history_examples as examples
from service.surfaces.native.delivery_shapes import EventId
from service.surfaces.native.shapes import MAX_PAGE, Moment, NoParameters
from service.tasks.feed_watch import Wanted
from service.web.auth import SECURITY, Client
from service.web.context import Gateway, GatewayParts
from service.web.openapi import json_answer, problem_answers

NOW = "now"

router = APIRouter(prefix="/api/v1", tags=["events"], dependencies=[*SECURITY])


class FeedParameters(NoParameters):
    """Where to go on, and how long to wait."""

    after: str | None = Field(
        default=None,
        description="`next_cursor` of the answer before; `now` for nothing of what there is already. Without it, and "
        "without `since`, the feed begins with the oldest event that is kept.",
    )
    since: Moment | None = Field(
        default=None, description="Begin with the events made from then on; with an offset. Not beside `after`."
    )
    wait: float = Field(
        default=0,
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="Seconds to hold the request open while there is no event to show.",
    )
    type: EventType | None = Field(default=None, description="Only this kind of event.")
    task_id: UUID | None = Field(default=None, description="Only events about this task.")
    limit: int = Field(default=20, ge=1, le=MAX_PAGE, description="Items in an answer.")


class Event(BaseModel):
    """Something that happened, with the JSON that subscribers get."""

    id: EventId
    type: str
    timestamp: datetime
    data: dict[str, Any] = Field(
        description="The task as it stood then; for other kinds of event, what they are about."
    )


class EventItems(BaseModel):
    """The next events, oldest first."""

    items: list[Event]
    next_cursor: str = Field(description="Send it as `after`; it is always there, also behind an answer without items.")


@router.get(
    "/events",
    summary="Read what happened",
    operation_id="readEvents",
    response_model=EventItems,
    responses={
        200: json_answer("The next events, if any.", examples.FEED),
        **problem_answers(400, 401, 422, 429, 503),
    },
)
async def read_events(gateway: GatewayParts, client: Client, wanted: Annotated[FeedParameters, Query()]) -> Response:
    """All events of your tasks, also of those that no subscription wants, in the order in which they were written.

    Who goes on from `next_cursor` each time misses nothing and gets nothing twice: an event is shown once everything
    that was begun before it has ended, so none can come in before it later. That takes moments; it takes longer while a
    transaction stays open in the database. `data.version` tells which of two events about a task is newer.

    With `wait` an answer without items is held back until there is one. An answer may have fewer items than asked for
    while there are more: read on until there are none.

    A cursor is good for as long as events are kept, and belongs to its database. When that was restored from a dump
    into another one, transactions are counted anew: a cursor that is ahead of that count is refused (422), and every
    reader should begin anew with `since`, a little before the restore.
    """
    after = await _position(gateway, wanted)
    wait_s = min(wanted.wait, gateway.resources.settings.wait_max_s)
    asked = Wanted(client, FeedFilter(wanted.type, wanted.task_id), after, wanted.limit)
    page = await gateway.feed.next_page(asked, wait_s)
    items = b",".join(_shown(event) for event in page.events)
    body = b'{"items":[%b],"next_cursor":%b}' % (items, orjson.dumps(page.position.cursor()))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _position(gateway: Gateway, wanted: FeedParameters) -> Position:
    if wanted.since is not None:
        if wanted.after is not None:
            raise InvalidRequest(FieldError("since", "is for the beginning; leave it out beside `after`"))
        return Position.since(wanted.since)
    if wanted.after is None:
        return Position.oldest()
    return await present_position(gateway.resources.db) if wanted.after == NOW else Position.read(wanted.after)


def _shown(event: FeedEvent) -> bytes:
    """The body's own bytes, with the event's id before them."""
    return b'{"id":"%b",' % webhook_id(event.id).encode() + event.body.encode().lstrip()[1:]
