"""Every way to say no: a refusal, the connection that just ends, and the bodies that errors come in."""

import json
from dataclasses import dataclass, field
from typing import Any, assert_never

from starlette.responses import Response

from service.sandbox.knobs import AnswerError, CutForm, ErrorShape

_HTML = (
    "<!DOCTYPE html><html><head><title>{status}</title></head>"
    "<body><h1>{status}</h1><p>{message}</p><hr><p>edge</p></body></html>"
)


@dataclass
class Refused(Exception):
    """A request that is answered with an error; `reason` is the name under which the ledger counts it."""

    status: int
    reason: str
    message: str
    shape: ErrorShape = "message"
    code: str = ""
    field_name: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The answer as the caller sees it."""
        kind = "text/html; charset=utf-8" if self.shape == "html" else "application/json"
        return Response(error_body(self), self.status, self.headers, kind)


@dataclass
class HangUp(Exception):
    """The connection ends here, without an answer."""

    how: CutForm
    reason: str


def refusal_of(error: AnswerError) -> Refused:
    """The error answer that a mood asks for."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return Refused(error.status, "error_mood", error.message, error.shape, error.code, headers=headers)


def error_body(refused: Refused) -> bytes:
    """The bytes of an error in its shape."""
    if refused.shape == "html":
        return _HTML.format(status=refused.status, message=refused.message).encode()
    if refused.shape == "empty":
        return b""
    if refused.shape == "garbage":
        return b'{"success": false, "message": "' + refused.message.encode()[:8]
    return json.dumps(_error_json(refused)).encode()


def _error_json(refused: Refused) -> dict[str, Any]:
    message, shape = refused.message, refused.shape
    match shape:
        case "message":
            return {"success": False, "message": message}
        case "error_text":
            return {"success": False, "error": message}
        case "error_object":
            return {"error": {"message": message, "type": refused.code or "api_error"}}
        case "code":
            return {"success": False, "code": refused.code or refused.reason, "message": message}
        case "error_message":
            return {"error_message": message}
        case "errors":
            return {"errors": [{"field": refused.field_name or "model_id", "message": message}]}
        case "html" | "empty" | "garbage":
            raise AssertionError(f"{shape} is no JSON")
    assert_never(shape)
