"""How one task is named in a path and shown in an answer."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Path
from starlette.responses import Response

from service.errors import NotFound
from service.tasks.store import StoredTask

RETRY_AFTER_S = 2

TaskId = Annotated[str, Path(description="The task's id.", json_schema_extra={"format": "uuid"})]


def read_task_id(text: str) -> UUID:
    """The id in the path; what is no id names no task, and gets the answer that a foreign task gets."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound("There is no such task.") from exc


def task_etag(task: StoredTask) -> str:
    """The task's version as an entity tag."""
    return f'"{task.version}"'


def task_headers(task: StoredTask) -> dict[str, str]:
    """What every answer about the task carries, with a body or without."""
    headers = {"ETag": task_etag(task), "Cache-Control": "private, no-cache"}
    return headers if task.is_final else headers | {"Retry-After": str(RETRY_AFTER_S)}


def task_response(
    task: StoredTask, headers: Mapping[str, str], *, status: int, beside: Mapping[str, object] | None = None
) -> Response:
    """The task's bytes as Postgres rendered them, with what belongs to this answer alone behind them."""
    body = task.body
    if beside:
        body = body.rstrip()[:-1] + b"," + orjson.dumps(beside, default=str)[1:]
    return Response(body, status, {**task_headers(task), **headers}, media_type="application/json")
