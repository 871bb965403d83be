"""The id under which one request is found again, in the answer, in problems and in every log line."""

import re
from contextvars import ContextVar
from uuid import uuid4

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}")

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def begin_request(offered: str) -> str:
    """Take the caller's id if it is short and plain, else make one; it holds for the rest of this context."""
    request_id = offered if _SANE.fullmatch(offered) else uuid4().hex
    _request_id.set(request_id)
    return request_id


def current_request_id() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _request_id.get()
