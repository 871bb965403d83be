"""Errors as the image API words them, for every path of the drop-in surface, also those that no route has."""

from collections.abc import Mapping

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.errors import GatewayError, InvalidRequest, UpstreamError, UpstreamRefused
from service.web.problems import ErrorAnswer, clean

PREFIXES = ("/v1i/", "/v1/", "/v3/")
# Its verdicts on the request, and the 402 by which its clients learn that the account is empty.
PASSED_ON = frozenset({400, 402, 404, 409, 413, 415, 422})
PARAMETERS = ("model_parameters", "aspect_ratio", "resolution", "quality", "seed")


class WrongField(BaseModel):
    """One field that is wrong, and how to mend it."""

    field: str
    message: str


class Failure(BaseModel):
    """What went wrong. `message` and `error` hold the same words: clients of the image API read either."""

    model_config = ConfigDict(extra="forbid")

    success: bool = Field(description="Always false.")
    message: str = Field(description="What happened and what to do, for people.")
    error: str = Field(description="The same as `message`.")
    code: str = Field(description="The kind of error as a word for programs; the image API's own where it named one.")
    errors: list[WrongField] = Field(default=[], description="Every wrong field; absent when none is to blame.")


def failure_response(error: GatewayError, status: int, headers: Mapping[str, str]) -> Response:
    """The error in the image API's shape and, where it matters to clients, with the status that it would have there."""
    message = clean(error.detail)
    failure: dict[str, object] = {"success": False, "message": message, "error": message, "code": _code(error)}
    if error.fields:
        failure["errors"] = [{"field": clean(each.field), "message": clean(each.message)} for each in error.fields]
    return Response(orjson.dumps(failure), _status(error, status), headers, media_type="application/json")


ERRORS: Mapping[str, ErrorAnswer] = dict.fromkeys(PREFIXES, failure_response)
"""The path prefixes of this surface, for `install_problems`."""


def _code(error: GatewayError) -> str:
    named = error.upstream_code if isinstance(error, UpstreamError) else None
    return clean(named or error.code)


def _status(error: GatewayError, status: int) -> int:
    """A wrong value is a 400 there, but a wrong model parameter a 422."""
    if isinstance(error, InvalidRequest):
        return 422 if any(each.field.startswith(PARAMETERS) for each in error.fields) else 400
    if isinstance(error, UpstreamRefused) and error.upstream_status in PASSED_ON:
        return error.upstream_status
    return status
