"""/api/v1/tasks: create, get (and wait), list. Thin: the work is in service/tasks."""

import re
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from service.catalog.check import Wanted
from service.errors import GatewayError
from service.surfaces.native import task_answers as answers
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.surfaces.native.priced import priced_response
from service.surfaces.native.shapes import (
    AcceptedTask,
    CreateHeaders,
    FollowedTask,
    Nothing,
    TaskItems,
    TaskParameters,
    WaitParameters,
)
from service.surfaces.native.task_request import read_task_request
from service.surfaces.native.task_response import TaskId, read_task_id, task_etag, task_headers, task_response
from service.tasks.asked import Asked
from service.tasks.idempotency import IdempotencyKey, is_bound
from service.tasks.queue_place import queue_place
from service.tasks.schemas import TaskRequest
from service.tasks.store import StoredTask, TaskFilter, get_task, list_tasks
from service.web.auth import SECURITY, Client
from service.web.context import Gateway, GatewayParts
from service.web.etag import is_held
from service.web.generate import checked, submitted
from service.web.idempotency import idempotency_key

CREATE_ROUTE = "POST /api/v1/tasks"

router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[*SECURITY])

_PREFERRED_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*([0-9]{1,6})\s*(?:$|[,;])", re.IGNORECASE)

IfNoneMatch = Annotated[str | None, Header(description="The ETag of the version you hold.")]


@router.post(
    "/tasks",
    status_code=202,
    summary="Ask for images",
    operation_id="createTask",
    response_model=AcceptedTask,
    responses=answers.CREATED,
    openapi_extra={"requestBody": answers.REQUEST_BODY},
)
async def create_task(
    request: Request, gateway: GatewayParts, client: Client, _: Nothing, headers: CreateHeaders
) -> Response:
    """Check the request, record it, and send it to the image API, which charges for it now.

    Send files as a multipart form; JSON will do without. A 202 means that the task is kept and will come to an end,
    even if the gateway does not know yet whether the image API took it (state `unknown`): never send it again for that.
    With `Prefer: wait=N` the answer is held until the task ends, N seconds at most, and is then a 200 if it did.
    With `validate_only` nothing is stored, sent or paid: the 200 tells what it would cost.
    """
    with ExitStack() as stack:
        upload = stack.enter_context(gateway.resources.spool.open())
        asked = await read_task_request(request, upload, gateway.resources.settings)
        wanted, priceable = await checked(gateway, asked.wanted)
        if asked.validate_only:
            await _refuse_too_dear(gateway, wanted, priceable, None)
            return priced_response(priceable, await gateway.prices.quote(priceable), {"valid": True})
        key = idempotency_key(headers.idempotency_key, gateway.resources.settings, client, CREATE_ROUTE, wanted)
        slot_s = (await gateway.durations.slots_s()).get(wanted.model_id)
        await _refuse_too_dear(gateway, wanted, priceable, key)
        # From here on the paid call owns the upload: it goes on even if this request is canceled.
        stack.pop_all()
    kept = await gateway.in_flight.run(submitted(gateway, Asked(client, wanted, upload, key, slot_s)))
    task, wait_s = kept.task, min(_preferred_wait_s(headers.prefer), gateway.resources.settings.wait_max_s)
    told = {"Location": f"/api/v1/tasks/{task.id}"}
    if kept.is_replay:
        told["Idempotency-Replayed"] = "true"
    if wait_s:
        # Paid by now: what keeps us from waiting (too many do, no database) must not read as a failure, for a client
        # that sends the request again pays again.
        with suppress(GatewayError):
            task = await _awaited(gateway, client, task, None, wait_s)
        told["Preference-Applied"] = f"wait={wait_s:g}"
    beside = {"callback": asdict(kept.callback)} if kept.callback else None
    return task_response(task, told, status=200 if wait_s and task.is_final else 202, beside=beside)


@router.get(
    "/tasks/{task_id}",
    summary="Get a task, or wait for it",
    operation_id="getTask",
    response_model=FollowedTask,
    responses=answers.FOUND,
)
async def read_task(
    task_id: TaskId,
    gateway: GatewayParts,
    client: Client,
    wanted: Annotated[WaitParameters, Query()],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The task as it stands. With `wait`, the answer is held back until the task ends.

    With `wait` and `If-None-Match` it is held back until the task has moved on from that version, or 304 when it has
    not. `Retry-After` says when to look again; it is there while the task has not ended.
    """
    task = await get_task(gateway.resources.db, client, read_task_id(task_id))
    held = is_held(if_none_match, task_etag(task))
    if held or if_none_match is None:
        task = await _awaited(gateway, client, task, task.version if held else None, wanted.wait)
    if is_held(if_none_match, task_etag(task)):
        return Response(status_code=304, headers=task_headers(task))
    return task_response(task, {}, status=200, beside=await _queue_place(gateway, task))


@router.get(
    "/tasks",
    summary="List tasks",
    operation_id="listTasks",
    response_model=TaskItems,
    responses=answers.LISTED,
)
async def read_tasks(gateway: GatewayParts, client: Client, wanted: Annotated[TaskParameters, Query()]) -> Response:
    """Your tasks, newest first, a page at a time."""
    narrowed = TaskFilter(
        wanted.state, wanted.model_id, wanted.created_after, wanted.created_before, wanted.client_reference
    )
    page = await list_tasks(gateway.resources.db, client, narrowed, read_cursor(wanted.cursor), wanted.limit)
    items = b",".join(task.body for task in page.tasks)
    body = b'{"items":[%b],"next_cursor":%b}' % (items, orjson.dumps(write_cursor(page.next_cursor)))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _queue_place(gateway: Gateway, task: StoredTask) -> dict[str, object] | None:
    place = await queue_place(gateway.resources, gateway.durations, task) if task.state == "queued" else None
    return {"queue": asdict(place)} if place else None


async def _refuse_too_dear(
    gateway: Gateway, wanted: TaskRequest, priceable: Wanted, key: IdempotencyKey | None
) -> None:
    """Raise MaxCreditsExceeded; but a replay only joins a task that is paid already, whatever a new one costs now."""
    if wanted.max_credits is None or (key is not None and await is_bound(gateway.resources.db, key)):
        return
    await gateway.prices.refuse_above(priceable, wanted.max_credits)


async def _awaited(
    gateway: Gateway, client: str, task: StoredTask, seen_version: int | None, wait_s: float
) -> StoredTask:
    """The task once it has ended, or moved on from the version seen, or as it stands when the time is up."""
    wait_s = min(wait_s, gateway.resources.settings.wait_max_s)
    if task.is_final or wait_s <= 0:
        return task
    await gateway.watch.wait(task.id, seen_version, wait_s)
    return await get_task(gateway.resources.db, client, task.id)


def _preferred_wait_s(prefer: str | None) -> float:
    found = _PREFERRED_WAIT.search(prefer or "")
    return float(found.group(1)) if found else 0.0
