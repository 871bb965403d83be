"""How the drop-in surface answers, and how the OpenAPI document describes that."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from service.surfaces.dropin.errors import Failure
from service.web.openapi import Responses, json_answer

_REASONS: Mapping[int, str] = {
    400: "The request cannot be read, or a value is wrong; `message` names the field.",
    401: "No valid API key.",
    402: "The account at the image API has not enough credits. Nothing was charged.",
    404: "No such task, or another client's.",
    413: "The body, a file in it, or its fields together are too large.",
    415: "The body's Content-Type is not taken here.",
    422: "A model parameter is wrong, or the image API refused the request. Nothing was charged.",
    429: "Too much waits here already; come back after `Retry-After` seconds. Nothing was charged.",
    502: "The image API refused the gateway's own account. Nothing was charged.",
    503: "Not possible now, and nothing was charged; come back after `Retry-After` seconds.",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}


def json_response(body: bytes) -> Response:
    """200 with JSON; a task of a moment ago is no answer to the next poll."""
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def ok(example: object, *failures: int) -> Responses:
    """The documentation of a 200, and of the errors that are possible beside it."""
    return {200: json_answer("As the image API answers.", example), **{each: _failure(each) for each in failures}}


def _failure(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {"model": Failure, "description": _REASONS[status]}
    return answer | {"headers": _RETRY_AFTER} if status in {429, 503} else answer
