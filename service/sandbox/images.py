"""The pictures behind imageUrl and previewUrl: public like a CDN, drawn when first fetched."""

import asyncio
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.sandbox.pictures import png, preview_of
from service.sandbox.task import Task
from service.sandbox.upstream import Upstream


def image_route(upstream: Upstream) -> Route:
    """GET /images/{task}/{number}.png and its _preview."""

    async def endpoint(request: Request) -> Response:
        stem = request.path_params["stem"]
        number = stem.removesuffix("_preview")
        task = upstream.tasks.entries.get(request.path_params["task_id"])
        if task is None or task.status != "done" or not _is_picture(task, number):
            return PlainTextResponse("no such picture", 404)
        if _forbidden(upstream, task, request.headers.get("user-agent", "")):
            return PlainTextResponse("forbidden", 403)
        sketch = task.sketch(int(number))
        picture = await asyncio.to_thread(png, preview_of(sketch) if stem != number else sketch)
        headers = {"Content-Disposition": "attachment"} if request.query_params.get("dl") else {}
        return Response(picture, 200, headers, "image/png")

    return Route("/images/{task_id}/{stem}.png", endpoint)


def _is_picture(task: Task, number: str) -> bool:
    return number in {str(place) for place in range(1, task.order.generations_count + 1)}


def _forbidden(upstream: Upstream, task: Task, user_agent: str) -> bool:
    moods = upstream.moods
    if moods.image_forbidden_agent and moods.image_forbidden_agent in user_agent:
        return True
    age_s = (datetime.now(UTC) - (task.ended_at or task.received_at)).total_seconds()
    return bool(moods.image_ttl_s) and age_s > moods.image_ttl_s
