"""/api/v1/tasks: create, get (and wait), list. Thin: the work is in service/tasks."""

import re
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from service.catalog.check import Wanted, problems
from service.errors import GatewayError, InvalidRequest, NotFound
from service.surfaces.native import task_answers as answers
from service.surfaces.native.cursor import read_cursor, write_cursor
from service.surfaces.native.shapes import AcceptedTask, Nothing, TaskItems, TaskParameters, WaitParameters
from service.surfaces.native.task_request import read_task_request
from service.tasks.schemas import Task, TaskRequest
from service.tasks.store import StoredTask, TaskFilter, get_task, list_tasks
from service.tasks.submit import InlineCallback, Submitted, submit_task
from service.uploads.spool import SpoolFile
from service.web.auth import SECURITY, Client
from service.web.context import Gateway, GatewayParts
from service.web.etag import is_held

RETRY_AFTER_S = 2

router = APIRouter(prefix="/api/v1", tags=["tasks"], dependencies=[*SECURITY])

_PREFERRED_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*([0-9]{1,6})\s*(?:$|[,;])", re.IGNORECASE)

TaskId = Annotated[str, Path(description="The task's id.", json_schema_extra={"format": "uuid"})]
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the version you hold.")]
Prefer = Annotated[str | None, Header(description="`wait=N`: hold the answer up to N seconds for the task to end.")]


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
    request: Request, gateway: GatewayParts, client: Client, _: Nothing, prefer: Prefer = None
) -> Response:
    """Check the request, record it, and send it to the image API, which charges for it now.

    Send files as a multipart form; JSON will do without. A 202 means that the task is kept and will come to an end,
    even if the gateway does not know yet whether the image API took it (state `unknown`): never send it again for that.
    With `Prefer: wait=N` the answer is held until the task ends, N seconds at most, and is then a 200 if it did.
    """
    with ExitStack() as stack:
        upload = stack.enter_context(gateway.resources.spool.open())
        asked = await read_task_request(request, upload, gateway.resources.settings)
        wanted = await _checked(gateway, asked)
        # From here on the paid call owns the upload: it goes on even if this request is canceled.
        stack.pop_all()
    submitted = await gateway.in_flight.run(_submitted(gateway, client, wanted, upload))
    task, wait_s = submitted.task, min(_preferred_wait_s(prefer), gateway.resources.settings.wait_max_s)
    headers = {"Location": f"/api/v1/tasks/{task.id}"}
    if wait_s:
        # Paid by now: what keeps us from waiting (too many do, no database) must not read as a failure, for a client
        # that sends the request again pays again.
        with suppress(GatewayError):
            task = await _awaited(gateway, client, task, None, wait_s)
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    return _task_answer(task, headers, status=200 if wait_s and task.is_final else 202, callback=submitted.callback)


@router.get(
    "/tasks/{task_id}",
    summary="Get a task, or wait for it",
    operation_id="getTask",
    response_model=Task,
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
    task = await get_task(gateway.resources.db, client, _uuid(task_id))
    held = is_held(if_none_match, _etag(task))
    if held or if_none_match is None:
        task = await _awaited(gateway, client, task, task.version if held else None, wanted.wait)
    if is_held(if_none_match, _etag(task)):
        return Response(status_code=304, headers=_task_headers(task))
    return _task_answer(task, {}, status=200)


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


async def _submitted(gateway: Gateway, client: str, wanted: TaskRequest, upload: SpoolFile) -> Submitted:
    with upload:
        return await submit_task(gateway.resources, client, wanted, upload)


async def _checked(gateway: Gateway, asked: TaskRequest) -> TaskRequest:
    """The request as it will be sent, or InvalidRequest with all that is wrong, before anything is stored or paid."""
    listing = await gateway.catalog.current()
    wanted = Wanted(
        model_id=asked.model_id,
        generations_count=asked.generations_count,
        model_parameters=asked.model_parameters,
        asset_count=len(asked.assets),
        prompt=asked.prompt,
    )
    wrong = list(problems(listing.models, wanted))
    callback_url = asked.callback_url
    if callback_url is not None:
        try:
            callback_url = gateway.guard.check_url(callback_url)
        except InvalidRequest as exc:
            wrong += exc.fields
    if wrong:
        raise InvalidRequest(*wrong)
    return replace(asked, callback_url=callback_url)


async def _awaited(
    gateway: Gateway, client: str, task: StoredTask, seen_version: int | None, wait_s: float
) -> StoredTask:
    """The task once it has ended, or moved on from the version seen, or as it stands when the time is up."""
    wait_s = min(wait_s, gateway.resources.settings.wait_max_s)
    if task.is_final or wait_s <= 0:
        return task
    await gateway.watch.wait(task.id, seen_version, wait_s)
    return await get_task(gateway.resources.db, client, task.id)


def _task_answer(
    task: StoredTask, headers: dict[str, str], *, status: int, callback: InlineCallback | None = None
) -> Response:
    body = task.body
    if callback is not None:
        shown = {"subscription_id": str(callback.subscription_id), "secret": callback.secret}
        # The task's bytes stay as Postgres rendered them; the one-time secret is added behind them.
        body = body.rstrip()[:-1] + b',"callback":' + orjson.dumps(shown) + b"}"
    return Response(body, status, {**_task_headers(task), **headers}, media_type="application/json")


def _task_headers(task: StoredTask) -> dict[str, str]:
    headers = {"ETag": _etag(task), "Cache-Control": "private, no-cache"}
    return headers if task.is_final else headers | {"Retry-After": str(RETRY_AFTER_S)}


def _etag(task: StoredTask) -> str:
    return f'"{task.version}"'


def _uuid(text: str) -> UUID:
    """The id in the path; what is no id names no task, and gets the answer that a foreign task gets."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound("There is no such task.") from exc


def _preferred_wait_s(prefer: str | None) -> float:
    found = _PREFERRED_WAIT.search(prefer or "")
    return float(found.group(1)) if found else 0.0
