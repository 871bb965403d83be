"""The control calls under /_sandbox: moods, ledger, reset, and ending or telling of tasks by hand; no key needed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.sandbox.form import json_object
from service.sandbox.gate import json_response
from service.sandbox.refusals import Refused
from service.sandbox.task import Task, ledger_entry, task_object
from service.sandbox.upstream import Upstream

Control = Callable[[Upstream, Request], Awaitable[Response]]


def control_routes(upstream: Upstream) -> list[Route]:
    """Every control call."""
    calls: dict[str, Control] = {
        "GET /_sandbox/moods": _show_moods,
        "PATCH /_sandbox/moods": _change_moods,
        "GET /_sandbox/ledger": _show_ledger,
        "POST /_sandbox/reset": _reset,
        "POST /_sandbox/refuse": _refuse,
        "POST /_sandbox/callbacks/release": _release_callbacks,
        "POST /_sandbox/tasks/{task_id}/finish": _finish_task,
        "POST /_sandbox/tasks/{task_id}/fail": _fail_task,
        "POST /_sandbox/tasks/{task_id}/callback": _call_back,
    }
    return [_route(upstream, call, control) for call, control in calls.items()]


def _route(upstream: Upstream, method_and_path: str, control: Control) -> Route:
    method, path = method_and_path.split(" ")

    async def endpoint(request: Request) -> Response:
        try:
            return await control(upstream, request)
        except Refused as refused:
            return refused.response()
        except ValidationError as exc:
            wrong = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in exc.errors()]
            return JSONResponse({"errors": wrong}, 422)

    return Route(path, endpoint, methods=[method])


async def _show_moods(upstream: Upstream, request: Request) -> Response:
    return json_response(upstream.moods.model_dump())


async def _change_moods(upstream: Upstream, request: Request) -> Response:
    upstream.change_moods(json_object(await request.body()))
    return json_response(upstream.moods.model_dump())


async def _show_ledger(upstream: Upstream, request: Request) -> Response:
    limit = request.query_params.get("limit")
    if limit is not None and not (limit.isascii() and limit.isdecimal()):
        raise Refused(400, "bad_limit", "limit must be a whole number; 0 gives the totals alone")
    return json_response(upstream.ledger(None if limit is None else int(limit)))


async def _reset(upstream: Upstream, request: Request) -> Response:
    upstream.reset()
    return json_response({"success": True})


async def _refuse(upstream: Upstream, request: Request) -> Response:
    """Stop listening for a while, so that new connections are refused by the kernel."""
    for_s = (await _options(request)).get("for_s", 1.0)
    if not isinstance(for_s, (int, float)) or not 0 < for_s <= 600:
        raise Refused(422, "bad_for_s", "for_s must be more than 0 and at most 600 seconds")
    if upstream.refuse_connections is None:
        raise Refused(501, "no_listener", "this server does not own its port")
    upstream.refuse_connections(float(for_s))
    return json_response({"success": True, "for_s": for_s})


async def _release_callbacks(upstream: Upstream, request: Request) -> Response:
    """Send what is held; answers when receivers have answered, with their statuses (?wait=0: at once)."""
    task_ids = (await _options(request)).get("task_ids")
    if task_ids is not None and not isinstance(task_ids, list):
        raise Refused(422, "bad_task_ids", "task_ids must be a list of ids")
    sends = upstream.callbacks.release(None if task_ids is None else set(map(str, task_ids)))
    if request.query_params.get("wait") == "0":
        return json_response({"released": len(sends), "statuses": {}})
    if sends:
        await asyncio.wait(sends.values())
    statuses = {task_id: send.result() for task_id, send in sends.items() if not send.cancelled()}
    return json_response({"released": len(sends), "statuses": statuses})


async def _finish_task(upstream: Upstream, request: Request) -> Response:
    task = _open_task(upstream, request)
    upstream.tasks.finish(task)
    return _ended(upstream, task)


async def _fail_task(upstream: Upstream, request: Request) -> Response:
    """Fail it with the mood's code, message and refund, or those of the body."""
    task = _open_task(upstream, request)
    error = upstream.moods.task_error.model_copy(update=await _options(request))
    upstream.tasks.fail(task, f"{error.code}: {error.message}", bool(error.refund))
    return _ended(upstream, task)


async def _call_back(upstream: Upstream, request: Request) -> Response:
    """Call back now, whatever was sent before; a body given here goes out in place of the true one."""
    task = _task(upstream, request)
    if not task.order.receive_url:
        raise Refused(409, "no_receive_url", "the task has no receive_url")
    truth = task_object(task, upstream.moods, asyncio.get_running_loop().time())
    status = await upstream.callbacks.tell(task, await _options(request) or truth, upstream.moods)
    return json_response({"success": True, "status": status})


def _ended(upstream: Upstream, task: Task) -> Response:
    upstream.callbacks.task_ended(task, upstream.moods)
    return json_response(ledger_entry(task))


def _task(upstream: Upstream, request: Request) -> Task:
    task = upstream.tasks.entries.get(request.path_params["task_id"])
    if task is None:
        raise Refused(404, "no_task", "no such task")
    return task


def _open_task(upstream: Upstream, request: Request) -> Task:
    task = _task(upstream, request)
    if not task.open:
        raise Refused(409, "not_open", f"the task has ended: {task.status}")
    return task


async def _options(request: Request) -> dict[str, Any]:
    body = await request.body()
    return json_object(body) if body.strip() else {}
