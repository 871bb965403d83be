"""Every way in which a route can fail ends in a problem with the request's id, and tells no secret."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
import structlog
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Message
from structlog.testing import capture_logs

from service.errors import FieldError, InvalidRequest, LimitReached, UpstreamRefused, UpstreamUnavailable
from service.web.middleware import RequestScope
from service.web.problems import install_problems


class Secret(BaseModel):
    code: int


def failing_app() -> FastAPI:
    """One route for every way to fail."""
    app = FastAPI()
    install_problems(app)
    app.add_middleware(RequestScope)
    failures: dict[str, Exception] = {
        "bug": RuntimeError("a bug with the password hunter2"),
        "limit": LimitReached("Slow down.", retry_after_s=0.2),
        "fields": InvalidRequest(FieldError("prompt", "must not be empty"), FieldError("assets", "\ud800")),
        "refused": UpstreamRefused("No such ratio.", upstream_status=400, upstream_code="bad_ratio"),
        "poor": UpstreamRefused("Not enough credits.", upstream_status=402),
        "away": UpstreamUnavailable("It is down.", retry_after_s=4.2),
        "teapot": HTTPException(418, headers={"X-Spout": "yes"}),
        "odd": HTTPException(499),
        "gone": ClientDisconnect(),
    }

    @app.get("/fail/{how}")
    async def fail(how: str) -> None:
        raise failures[how]

    @app.get("/wrong")
    async def wrong(asked: Annotated[Secret, Query()]) -> None:
        """Takes a number."""

    @app.get("/cut")
    async def cut() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a beginning"
            raise RuntimeError

        return StreamingResponse(pieces())

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(failing_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("bug", 500, "internal_error"),
        ("limit", 429, "limit_reached"),
        ("fields", 422, "invalid_request"),
        ("refused", 422, "upstream_refused"),
        ("poor", 502, "upstream_refused"),
        ("away", 503, "upstream_unavailable"),
        ("teapot", 418, "bad_request"),
        ("odd", 499, "bad_request"),
    ],
)
async def test_every_failure_is_a_problem_with_the_requests_id(
    client: httpx.AsyncClient, how: str, status: int, code: str
) -> None:
    answer = await client.get(f"/fail/{how}", headers={"X-Request-Id": "shop-1"})

    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:image-gateway:problem:{code}"
    assert problem["request_id"] == answer.headers["X-Request-Id"] == "shop-1"
    assert problem["title"]
    assert problem["detail"]


async def test_a_bug_is_logged_with_its_request_and_told_to_nobody_else(client: httpx.AsyncClient) -> None:
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        answer = await client.get("/fail/bug")

    assert "hunter2" not in answer.text
    failed = [line for line in lines if line["event"] == "request_failed"]
    assert [line["request_id"] for line in failed] == [answer.headers["X-Request-Id"]]
    assert failed[0]["route"] == "/fail/{how}"


async def test_retry_after_is_whole_seconds_and_never_zero(client: httpx.AsyncClient) -> None:
    answers = [await client.get(f"/fail/{how}") for how in ("limit", "away")]

    assert [answer.headers["Retry-After"] for answer in answers] == ["1", "5"]


async def test_every_wrong_field_is_listed(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/fail/fields")).json()

    assert problem["errors"] == [
        {"field": "prompt", "message": "must not be empty"},
        {"field": "assets", "message": "?"},
    ]


async def test_the_upstreams_own_words_are_passed_on(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/fail/refused")).json()

    assert (problem["detail"], problem["upstream_status"], problem["upstream_code"]) == (
        "No such ratio.",
        400,
        "bad_ratio",
    )


async def test_a_wrong_value_is_named_but_never_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.get("/wrong", params={"code": "hunter2"})

    assert answer.json()["errors"][0]["field"] == "code"
    assert "hunter2" not in answer.text


async def test_an_answer_that_breaks_off_is_logged_and_not_followed_by_another() -> None:
    with capture_logs() as lines:
        sent = await sent_by(failing_app(), "/cut")

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert [line["event"] for line in lines] == ["request_failed", "request"]


async def test_a_caller_who_went_away_is_no_failure_of_ours() -> None:
    with capture_logs() as lines:
        sent = await sent_by(failing_app(), "/fail/gone")

    assert sent == []
    assert [(line["event"], line["status"]) for line in lines] == [("request", 499)]


async def sent_by(app: FastAPI, path: str) -> list[Message]:
    """What the application sends, down to the protocol: HTTP clients refuse to show a cut answer."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asgi = {"version": "3.0", "spec_version": "2.4"}
    scope = {"type": "http", "asgi": asgi, "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent
