"""The upstream's door: verifies the token, keeps the report as evidence, applies it, and only then answers 200."""

from dataclasses import replace
from http import HTTPStatus
from uuid import UUID

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import BodyTooLarge, MalformedBody, NotFound
from service.resources import Resources
from service.tasks.advance import Evidence, News, advance, news_of
from service.tasks.due import ask_once_more
from service.upstream.receive_url import ROUTE_LABEL, verify
from service.upstream.wire import read_task

ANSWERS = {"moved": b'{"status":"applied"}', "orphan": b'{"status":"stored"}'}
KNOWN = b'{"status":"known"}'
JSON = "application/json"

log = structlog.get_logger(__name__)


async def receive_report(request: Request) -> Response:
    """Answer 200 for a good token whatever the body says, 404 for any other, 413 above the limit, 503 if unstored.

    The content type is not trusted and the body is evidence: what cannot be read is kept as well, and makes the
    reconciler ask the upstream now; with GATEWAY_CALLBACK_CONFIRM no report does more than that. The upstream's faults
    are never the sender's to see.
    """
    request.scope["route"] = route  # for the access line, which must not show the path: it holds the token
    resources: Resources = request.app.state.gateway.resources
    task_id, attempt = _verified(request, resources)
    body = await _bounded_body(request, resources.settings.callback_max_body_bytes)
    applied = await advance(resources, _news(resources, task_id, attempt, body))
    if resources.settings.callback_confirm and applied.task is not None and applied.task.is_final:
        await ask_once_more(resources.db, task_id)
    return Response(ANSWERS.get(applied.outcome, KNOWN), HTTPStatus.OK, media_type=JSON)


def _verified(request: Request, resources: Resources) -> tuple[UUID, int]:
    """Task and attempt that the token was made for; a bad token and an unknown task look the same."""
    try:
        task_id = UUID(request.path_params["task_id"])
    except ValueError as exc:
        raise NotFound("There is nothing here.") from exc
    attempt = verify(resources.callback_secrets, task_id, request.path_params["token"])
    if attempt is None:
        raise NotFound("There is nothing here.")
    return task_id, attempt


def _news(resources: Resources, task_id: UUID, attempt: int, body: bytes) -> News:
    evidence = Evidence("callback", body)
    hint = News(task_id, "hint", attempt=attempt, next_look_s=0.0, evidence=evidence)
    told = read_task(_parsed(body))
    if told is None:
        return hint
    if resources.settings.callback_confirm:
        # The id is taken where none is known yet: without it an unknown task could not be asked about.
        return replace(hint, upstream_id=told.upstream_id)
    return replace(news_of(task_id, told), attempt=attempt, evidence=evidence)


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


async def _bounded_body(request: Request, max_bytes: int) -> bytes:
    received = bytearray()
    try:
        async for chunk in request.stream():
            received += chunk
            if len(received) > max_bytes:
                raise BodyTooLarge(f"A report may have {max_bytes} bytes.")
    except ClientDisconnect as exc:
        raise MalformedBody("The report was cut off.") from exc
    return bytes(received)


# A plain route: no dependency injection or model on the path that every finished task takes.
route = Route(ROUTE_LABEL, receive_report, methods=["POST"], name="callback", include_in_schema=False)
