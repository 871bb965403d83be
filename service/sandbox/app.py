"""The sandbox as an ASGI application: the documented API, the pictures, the control calls and the start page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from service.sandbox.connection import CREATE_PATH
from service.sandbox.control import control_routes
from service.sandbox.create import create_task
from service.sandbox.gate import Answer, Rule, api_route
from service.sandbox.images import image_route
from service.sandbox.reads import (
    check_health,
    delete_tasks,
    list_models,
    list_tasks,
    poll_full_task,
    poll_task,
    poll_v3_task,
    quote_price,
    read_credits,
)
from service.sandbox.refusals import Refused
from service.sandbox.start_page import start_page
from service.sandbox.upstream import Upstream

_POLL = Rule("poll", "poll", error_mood="poll_error")

_API: dict[str, tuple[Rule, Answer]] = {
    "GET /v1/task/{task_id}": (_POLL, poll_task),
    f"POST {CREATE_PATH}": (Rule("create", "create", throttled=True), create_task),
    "GET /v1i/models": (Rule("models", "read", error_mood="models_error", throttled=True), list_models),
    "POST /v1i/task/price": (Rule("price", "read", error_mood="price_error", throttled=True), quote_price),
    "GET /v1/task/{task_id}/full": (_POLL, poll_full_task),
    "GET /v3/task/{task_id}": (_POLL, poll_v3_task),
    "GET /v1/tasks": (Rule("list", "poll", 2, "list_error"), list_tasks),
    "POST /v1/task/delete": (Rule("delete", "command", error_mood="delete_error"), delete_tasks),
    "GET /v1/credits": (Rule("credits", "read", error_mood="credits_error"), read_credits),
    "GET /v1/health-check": (Rule("health", "read"), check_health),
}


def create_app(upstream: Upstream) -> Starlette:
    """The application of one upstream; serve it over SandboxConnection, else connections cannot be cut."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        upstream.callbacks.start()
        yield
        upstream.stop_clocks()
        await upstream.callbacks.stop()

    async def show_start_page(request: Request) -> Response:
        return HTMLResponse(start_page(upstream, str(request.base_url).rstrip("/")))

    api = [api_route(upstream, call, rule, answer) for call, (rule, answer) in _API.items()]
    start = Route("/", show_start_page)
    routes = [*api, image_route(upstream), *control_routes(upstream), start]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_such_call})


async def _no_such_call(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    return Refused(status, "no_such_call", f"{request.method} {request.url.path} is not part of this API").response()
