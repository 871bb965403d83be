"""The calls beside create: models, price, polls, list, delete, credits and health."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.sandbox.create import in_form
from service.sandbox.form import json_object
from service.sandbox.gate import json_response
from service.sandbox.refusals import Refused
from service.sandbox.task import Task, task_object
from service.sandbox.upstream import Upstream
from service.sandbox.validate import quote_of

_MAX_PAGE = 1_000_000


async def list_models(upstream: Upstream, request: Request) -> Response:
    """The model list as the moods have it now."""
    return Response(upstream.models_body, media_type="application/json")


async def quote_price(upstream: Upstream, request: Request) -> Response:
    """The credits of a request that is not made."""
    quote = quote_of(json_object(await request.body()), upstream.catalogue)
    return json_response({"success": True, **in_form("credits", quote, upstream.moods.credits_form)})


async def poll_task(upstream: Upstream, request: Request) -> Response:
    """The bare task object."""
    return json_response(_shown(upstream, _polled(upstream, request)))


async def poll_full_task(upstream: Upstream, request: Request) -> Response:
    """The task object with the text fields that some clients read."""
    task = _polled(upstream, request)
    prompt = task.order.prompt
    text = {"text": prompt, "text_length": len(prompt), "text_truncated": False}
    return json_response(_shown(upstream, task) | text)


async def poll_v3_task(upstream: Upstream, request: Request) -> Response:
    """The task object inside data."""
    return json_response({"success": True, "data": _shown(upstream, _polled(upstream, request))})


async def list_tasks(upstream: Upstream, request: Request) -> Response:
    """One page of the account's tasks, newest first."""
    if not upstream.moods.list_endpoint:
        raise Refused(404, "no_list", "Not found")
    page = _whole_number(request, "page", 1, _MAX_PAGE)
    limit = _whole_number(request, "limit", 20, 100)
    if request.query_params.get("type", "imagen2") != "imagen2":
        return json_response({"success": True, "data": [], "page": page, "limit": limit, "total": 0})
    tasks, total = upstream.tasks.page(page, limit)
    shown = [_listed(upstream, task) for task in tasks]
    return json_response({"success": True, "data": shown, "page": page, "limit": limit, "total": total})


async def delete_tasks(upstream: Upstream, request: Request) -> Response:
    """Delete tasks by id; unknown ids are passed over."""
    moods = upstream.moods
    if not moods.delete_endpoint:
        raise Refused(404, "no_delete", "Not found")
    task_ids = json_object(await request.body()).get("task_ids")
    if not isinstance(task_ids, list) or not all(isinstance(task_id, str) for task_id in task_ids):
        raise Refused(400, "bad_task_ids", "task_ids must be a list of ids")
    found = [task for task_id in task_ids if (task := upstream.tasks.find(task_id)) is not None]
    refunded = sum(upstream.tasks.delete(task, moods.delete_refunds) for task in found)
    return json_response({"success": True, "refunded_credits": refunded})


async def read_credits(upstream: Upstream, request: Request) -> Response:
    """The balance."""
    return json_response({"success": True, **in_form("credits", upstream.account.balance, upstream.moods.credits_form)})


async def check_health(upstream: Upstream, request: Request) -> Response:
    """One word per provider."""
    providers = ("bytedance", "google", "openai")
    return json_response({"success": True, "data": dict.fromkeys(providers, upstream.moods.health)})


def _polled(upstream: Upstream, request: Request) -> Task:
    moods = upstream.moods
    if upstream.dice.falls(moods.busy_poll):
        raise _busy(int(upstream.dice.busy_form(moods.busy_poll.form)))
    task = upstream.tasks.find(request.path_params["task_id"])
    if task is None:
        raise Refused(404, "no_task", "Task not found")
    task.polls += 1
    too_young = (datetime.now(UTC) - task.received_at).total_seconds() < moods.not_found_after_create_s
    if too_young or task.polls <= moods.not_found_after_create_polls:
        raise Refused(404, "not_found_yet", "Task not found")
    return task


def _busy(status: int) -> Refused:
    return Refused(status, f"busy_{status}", "Task polling temporarily busy", "code", "server_busy")


def _shown(upstream: Upstream, task: Task) -> dict[str, Any]:
    return task_object(task, upstream.moods, asyncio.get_running_loop().time())


def _listed(upstream: Upstream, task: Task) -> dict[str, Any]:
    shown = _shown(upstream, task)
    if upstream.moods.list_shows_receive_url:
        shown["metadata"]["receive_url"] = task.order.receive_url
    return shown


def _whole_number(request: Request, name: str, default: int, highest: int) -> int:
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= highest:
        return int(text)
    raise Refused(400, f"bad_{name}", f"{name} must be 1 to {highest}")
