"""GET /v1/task/{id}, /full, /v3/task/{id}, /v1/tasks: each answered by one read here, whatever the image API's mood."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from service.errors import NotFound
from service.surfaces.dropin import examples
from service.surfaces.dropin.answers import json_response, ok
from service.surfaces.dropin.shapes import FullTask, ListParameters, Task, TaskPage, WrappedTask
from service.tasks.upstream_view import NumberedPage, ShownTask, show_page, show_task
from service.upstream.task_form import TASK_TYPE
from service.web.auth import SECURITY, Client
from service.web.context import Gateway, GatewayParts

router = APIRouter(tags=["drop-in"], dependencies=[*SECURITY])

TaskId = Annotated[str, Path(description="The id from the create.")]


@router.get(
    "/v1/task/{task_id}",
    summary="Get a task",
    operation_id="dropInGetTask",
    response_model=Task,
    responses=ok(examples.TASK, 401, 404, 503),
)
async def poll(task_id: TaskId, gateway: GatewayParts, client: Client) -> Response:
    """The bare task object. It is `doing` until it has ended, also while it waits for its turn; polls cost nothing."""
    return json_response((await _shown(gateway, client, task_id)).body)


@router.get(
    "/v1/task/{task_id}/full",
    summary="Get a task with its text",
    operation_id="dropInGetFullTask",
    response_model=FullTask,
    responses=ok(examples.FULL_TASK, 401, 404, 503),
)
async def poll_full(task_id: TaskId, gateway: GatewayParts, client: Client) -> Response:
    """The task object with its prompt as `text`, which some clients read."""
    shown = await _shown(gateway, client, task_id)
    text = {"text": shown.prompt, "text_length": len(shown.prompt), "text_truncated": False}
    return json_response(shown.body.rstrip()[:-1] + b"," + orjson.dumps(text)[1:])


@router.get(
    "/v3/task/{task_id}",
    summary="Get a task inside `data`",
    operation_id="dropInGetWrappedTask",
    response_model=WrappedTask,
    responses=ok(examples.WRAPPED_TASK, 401, 404, 503),
)
async def poll_v3(task_id: TaskId, gateway: GatewayParts, client: Client) -> Response:
    """The task object inside `data`."""
    return json_response(b'{"success":true,"data":%b}' % (await _shown(gateway, client, task_id)).body)


@router.get(
    "/v1/tasks",
    summary="List tasks by page",
    operation_id="dropInListTasks",
    response_model=TaskPage,
    responses=ok(examples.TASK_PAGE, 400, 401, 503),
)
async def read_tasks(gateway: GatewayParts, client: Client, wanted: Annotated[ListParameters, Query()]) -> Response:
    """Your tasks, newest first, whichever surface they were made on."""
    page = NumberedPage((), 0)
    if wanted.type == TASK_TYPE:
        page = await show_page(gateway.resources.db, client, wanted.page, wanted.limit)
    numbers = (b",".join(page.bodies), wanted.page, wanted.limit, page.total)
    return json_response(b'{"success":true,"data":[%b],"page":%d,"limit":%d,"total":%d}' % numbers)


async def _shown(gateway: Gateway, client: str, task_id: str) -> ShownTask:
    try:
        named = UUID(task_id)
    except ValueError as exc:
        raise NotFound("Task not found.") from exc
    return await show_task(gateway.resources.db, client, named)
