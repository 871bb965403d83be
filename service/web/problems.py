"""Every error as an answer: an RFC 9457 problem with a stable code, or what the surface of the path has instead."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from math import ceil
from types import MappingProxyType

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from service.errors import (
    BadRequest,
    BodyTooLarge,
    FieldError,
    GatewayError,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    UnknownField,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamRefused,
)
from service.web.request_id import current_request_id

ErrorAnswer = Callable[[GatewayError, int, Mapping[str, str]], Response]
"""A surface's own form of an error: from the error, its status, and the headers that belong to it."""

MEDIA_TYPE = "application/problem+json"
PROBLEMS_ONLY: Mapping[str, ErrorAnswer] = MappingProxyType({})
MAX_FIELD_LENGTH = 120

_BY_STATUS: Mapping[int, type[GatewayError]] = {
    error.status: error
    for error in (BadRequest, NotAuthenticated, NotFound, MethodNotAllowed, BodyTooLarge, UnsupportedMediaType)
}
_ACCOUNT_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


class ProblemField(BaseModel):
    """One field that is wrong, and how to mend it."""

    field: str = Field(description="Where: a field's name, with dots into objects.")
    message: str = Field(description="What is wrong and what would be right.")


class Problem(BaseModel):
    """What went wrong (RFC 9457). Decide on `code`, which never changes; show `detail` to people."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="`urn:image-gateway:problem:` and the code.")
    title: str = Field(description="The kind of problem in words; the same for every problem of a code.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="The kind of problem as a word for programs.")
    detail: str = Field(description="What happened this time, for people.")
    request_id: str = Field(description="The value of `X-Request-Id`; the operators find the request by it.")
    errors: list[ProblemField] = Field(default=[], description="Every wrong field; absent when none is to blame.")
    upstream_status: int | None = Field(default=None, description="The image API's own HTTP status, if it answered.")
    upstream_code: str | None = Field(default=None, description="The image API's own error code, if it named one.")


def problem_response(
    error: GatewayError, headers: Mapping[str, str] | None = None, status: int | None = None
) -> Response:
    """The error as a problem, with Retry-After and WWW-Authenticate where they belong; `status` overrules its own."""
    status = status or error_status(error)
    merged = {**error_headers(error), **(headers or {})}
    return Response(orjson.dumps(problem_json(error, status)), status, merged, media_type=MEDIA_TYPE)


def error_response(
    scope: Scope, error: GatewayError, headers: Mapping[str, str] | None = None, status: int | None = None
) -> Response:
    """The error in the form of the surface that the path belongs to, whether a route was found there or not."""
    answers: Mapping[str, ErrorAnswer] = scope["app"].state.error_answers
    path: str = scope["path"]
    answer = next((answers[prefix] for prefix in answers if path.startswith(prefix)), problem_response_of)
    return answer(error, status or error_status(error), {**error_headers(error), **(headers or {})})


def problem_response_of(error: GatewayError, status: int, headers: Mapping[str, str]) -> Response:
    """The form of every path that no surface claims."""
    return problem_response(error, headers, status)


def problem_json(error: GatewayError, status: int) -> dict[str, object]:
    """The members of the problem; those that do not apply are left out. Any text comes out as valid Unicode."""
    problem: dict[str, object] = {
        "type": f"urn:image-gateway:problem:{error.code}",
        "title": error.title,
        "status": status,
        "code": error.code,
        "detail": clean(error.detail),
        "request_id": current_request_id(),
    }
    if error.fields:
        problem["errors"] = [{"field": clean(each.field), "message": clean(each.message)} for each in error.fields]
    if isinstance(error, UpstreamError):
        problem |= {"upstream_status": error.upstream_status, "upstream_code": error.upstream_code}
    return {name: value for name, value in problem.items() if value is not None}


def install_problems(app: FastAPI, answers: Mapping[str, ErrorAnswer] = PROBLEMS_ONLY) -> None:
    """Answer every error that a route raises, with a problem or in the form that `answers` names for the path's prefix.

    What nobody raised on purpose is the middleware's.
    """
    app.state.error_answers = answers
    app.add_exception_handler(GatewayError, _answer_gateway_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def validation_problem(errors: Sequence[ErrorDetails]) -> GatewayError:
    """Pydantic's findings as ours: names every field and never repeats a value, since a value may be a secret."""
    unknown = tuple(_field_error(each) for each in errors if each["type"] == "extra_forbidden")
    if unknown:
        return UnknownField(f"Unknown: {', '.join(each.field for each in unknown)}.", fields=unknown)
    return InvalidRequest(*(_field_error(each) for each in errors))


def _field_error(error: ErrorDetails) -> FieldError:
    path = [str(part) for part in error["loc"]]
    named = path[1:] if len(path) > 1 and path[0] in _PLACES else path
    message = "is not taken here" if error["type"] == "extra_forbidden" else error["msg"]
    return FieldError(".".join(named)[:MAX_FIELD_LENGTH] or "body", message)


async def _answer_gateway_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, GatewayError)
    return error_response(request.scope, exc)


async def _answer_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    kind = _BY_STATUS.get(exc.status_code)
    if kind is MethodNotAllowed:
        return error_response(request.scope, kind(), {"Allow": ", ".join(_allowed_methods(request))})
    error = _unnamed(exc.status_code) if kind is None else kind()
    return error_response(request.scope, error, exc.headers, exc.status_code)


async def _answer_validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    errors = exc.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return error_response(request.scope, MalformedBody("The body is not valid JSON."))
    return error_response(request.scope, validation_problem(errors))


def _allowed_methods(request: Request) -> list[str]:
    """Every method that some route takes at this path; the framework's own `Allow` knows only the first route's."""
    routes: list[BaseRoute] = request.app.router.routes
    tried = ((method, {**request.scope, "method": method}) for method in _METHODS)
    return [method for method, scope in tried if any(route.matches(scope)[0] is Match.FULL for route in routes)]


def _unnamed(status: int) -> GatewayError:
    """A problem for a status that the framework answers with and we have no class for."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    kind = BadRequest if status < HTTPStatus.INTERNAL_SERVER_ERROR else GatewayError
    return kind(phrase)


def error_status(error: GatewayError) -> int:
    """The error's own status, but 502 where the image API refused the gateway's account and not the request."""
    if isinstance(error, UpstreamRefused) and error.upstream_status in _ACCOUNT_REFUSALS:
        return int(HTTPStatus.BAD_GATEWAY)
    return error.status


def error_headers(error: GatewayError) -> dict[str, str]:
    """What every answer with this error carries, whatever its form."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="image-gateway"'
    return headers


def clean(text: str) -> str:
    """The text as valid Unicode: lone surrogates, which no JSON writer takes, become question marks."""
    return text.encode("utf-8", "replace").decode()
