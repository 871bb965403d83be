"""Around every request: its id, its timings, one log line, one metric, and an answer even to what nobody foresaw."""

import re
from time import perf_counter

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import GatewayError
from service.telemetry import Timings, requests_seconds, timings
from service.web.problems import error_response
from service.web.request_id import begin_request

UNMATCHED = "(no route)"
# As nginx counts callers who went away before the answer; it is never sent.
CLIENT_CLOSED_REQUEST = 499
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})

log = structlog.get_logger(__name__)


class RequestScope:
    """Pure ASGI. Paths are logged and counted as route templates: a raw path may hold a callback token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; anything else (lifespan) passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        request_id = begin_request(headers.get("x-request-id", ""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, **_trace(headers.get("traceparent", "")))
        answer = _Answer(send, request_id, Timings())
        timings.set(answer.timings)
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = answer.status or CLIENT_CLOSED_REQUEST
        except Exception:
            log.exception("request_failed", method=scope["method"], route=route_template(scope))
            await answer.fail(scope, receive)
        finally:
            _account(scope, answer)


class _Answer:
    """What is sent to one caller, with our headers on it."""

    def __init__(self, send: Send, request_id: str, spent: Timings) -> None:
        self._send = send
        self._request_id = request_id
        self._began = perf_counter()
        self.timings = spent
        self.status = 0

    @property
    def seconds(self) -> float:
        """Since the request came in."""
        return perf_counter() - self._began

    async def send(self, message: Message) -> None:
        """Pass a message on; the head of the answer gets the request id and the timings."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self._request_id.encode()),
                (b"server-timing", self._server_timing().encode()),
            ]
        await self._send(message)

    async def fail(self, scope: Scope, receive: Receive) -> None:
        """Answer 500, if nothing was sent yet; a cut answer cannot be mended."""
        if self.status:
            return
        await error_response(scope, GatewayError())(scope, receive, self.send)

    def _server_timing(self) -> str:
        spent = {"db": 0.0, "upstream": 0.0, **self.timings.seconds, "total": self.seconds}
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in spent.items())


def route_template(scope: Scope) -> str:
    """The path of the route with its parameters' names, never their values."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else UNMATCHED


def _trace(offered: str) -> dict[str, str]:
    """The caller's W3C trace context, if it is a valid one, so that log lines and the task carry it on."""
    return {"traceparent": offered} if _TRACEPARENT.fullmatch(offered) else {}


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _account(scope: Scope, answer: _Answer) -> None:
    method, route, status = scope["method"], route_template(scope), answer.status or CLIENT_CLOSED_REQUEST
    requests_seconds.labels(_known_method(method), route, str(status)).observe(answer.seconds)
    if route in _QUIET_ROUTES and status < 400:
        return
    log.info("request", method=method, route=route, status=status, duration_ms=round(answer.seconds * 1000, 1))


def _known_method(method: str) -> str:
    """Methods are the caller's words: a label for each would let anybody grow the metrics."""
    return method if method in {"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"} else "other"
