"""Every error as an RFC 9457 problem: `application/problem+json` with a stable code and the request's id."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

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

MEDIA_TYPE = "application/problem+json"
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
    """The error as an answer, with Retry-After and WWW-Authenticate where they belong; `status` overrules its own."""
    status = status or _status(error)
    merged = {**_headers(error), **(headers or {})}
    return Response(orjson.dumps(problem_json(error, status)), status, merged, media_type=MEDIA_TYPE)


def problem_json(error: GatewayError, status: int) -> dict[str, object]:
    """The members of the problem; those that do not apply are left out. Any text comes out as valid Unicode."""
    problem: dict[str, object] = {
        "type": f"urn:image-gateway:problem:{error.code}",
        "title": error.title,
        "status": status,
        "code": error.code,
        "detail": _clean(error.detail),
        "request_id": current_request_id(),
    }
    if error.fields:
        problem["errors"] = [{"field": _clean(each.field), "message": _clean(each.message)} for each in error.fields]
    if isinstance(error, UpstreamError):
        problem |= {"upstream_status": error.upstream_status, "upstream_code": error.upstream_code}
    return {name: value for name, value in problem.items() if value is not None}


def install_problems(app: FastAPI) -> None:
    """Answer every error that a route raises with a problem; what nobody raised on purpose is the middleware's."""
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


async def _answer_gateway_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, GatewayError)
    return problem_response(exc)


async def _answer_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    kind = _BY_STATUS.get(exc.status_code)
    if kind is MethodNotAllowed:
        return problem_response(MethodNotAllowed(), {"Allow": ", ".join(_allowed_methods(request))})
    return problem_response(_unnamed(exc.status_code) if kind is None else kind(), exc.headers, exc.status_code)


async def _answer_validation_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    errors = exc.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return problem_response(MalformedBody("The body is not valid JSON."))
    return problem_response(validation_problem(errors))


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


def _status(error: GatewayError) -> int:
    """The error's own status, but 502 where the image API refused the gateway's account and not the request."""
    if isinstance(error, UpstreamRefused) and error.upstream_status in _ACCOUNT_REFUSALS:
        return int(HTTPStatus.BAD_GATEWAY)
    return error.status


def _headers(error: GatewayError) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="image-gateway"'
    return headers


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
