"""Errors in OpenAI's envelope, with the headers by which its client libraries decide whether to try again."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response

from service.errors import (
    GatewayError,
    IdempotencyKeyReused,
    InvalidRequest,
    LimitReached,
    NotAuthenticated,
    TaskNotEnded,
    Unavailable,
    UnknownField,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from service.surfaces.openai.errors import PicturesNotFetched, TaskFailed
from service.web.problems import ErrorAnswer, clean

PREFIX = "/openai/"
NO_CREDIT = "insufficient_quota"

# By the status; what has none here is the server's fault from 500 on and the request's below.
_TYPES: Mapping[int, str] = {401: "authentication_error", 402: NO_CREDIT, 429: "rate_limit_error"}
# Where OpenAI has a word of its own that programs look for.
_CODES: Mapping[type[GatewayError], str] = {
    NotAuthenticated: "invalid_api_key",
    UnknownField: "unknown_parameter",
    InvalidRequest: "invalid_value",
    LimitReached: "rate_limit_exceeded",
}
# Nothing was paid, or the next try joins the task that was. Everything else is useless to send again, or costs again.
_SEND_AGAIN = (TaskNotEnded, PicturesNotFetched, LimitReached, Unavailable, UpstreamUnavailable)


def error_answer(error: GatewayError, status: int, headers: Mapping[str, str]) -> Response:
    """The error as an answer that OpenAI's libraries raise with its text, after the retries that make sense."""
    status = openai_status(error, status)
    told = {**headers, "x-should-retry": "true" if isinstance(error, _SEND_AGAIN) else "false"}
    if error.retry_after_s is not None:
        told["retry-after-ms"] = str(max(1, round(error.retry_after_s * 1000)))
    return Response(envelope(error, status), status, told, media_type="application/json")


def envelope(error: GatewayError, status: int) -> bytes:
    """The JSON of the error, for an answer of its own or for an event in a stream."""
    failure: dict[str, object] = {
        "message": clean(error.detail),
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "code": clean(_code(error, status)),
        "param": clean(error.fields[0].field) if error.fields else None,
    }
    task_id = error.task_id if isinstance(error, TaskNotEnded | TaskFailed | PicturesNotFetched) else None
    if task_id is not None:
        failure["task_id"] = str(task_id)
    return orjson.dumps({"error": failure})


ERRORS: Mapping[str, ErrorAnswer] = {PREFIX: error_answer}
"""The path prefix of this surface, for `install_problems`."""


def openai_status(error: GatewayError, status: int) -> int:
    """The status there, of an error with this status elsewhere.

    Wrong values are a 400; that the account is empty is told as such, though it is the gateway's own.
    """
    if isinstance(error, InvalidRequest | IdempotencyKeyReused):
        return 400
    if isinstance(error, UpstreamRefused):
        return 402 if error.upstream_status == 402 else 400 if status == error.status else status
    return status


def _code(error: GatewayError, status: int) -> str:
    if status == 402:
        return NO_CREDIT
    if isinstance(error, TaskFailed):
        return error.task_code
    if isinstance(error, UpstreamError) and error.upstream_code:
        return error.upstream_code
    return _CODES.get(type(error), error.code)
