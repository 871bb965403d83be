"""Every way in which a drop-in route can fail ends in the image API's shape, whoever it was that failed."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from service.errors import FieldError, InvalidRequest, LimitReached, Unavailable, UpstreamRefused, UpstreamUnavailable
from service.surfaces.dropin.errors import ERRORS
from service.web.middleware import RequestScope
from service.web.problems import install_problems

FAILURES: dict[str, Exception] = {
    "bug": RuntimeError("a bug with the password hunter2"),
    "limit": LimitReached("Too much waits.", retry_after_s=0.2),
    "stopping": Unavailable("No room.", retry_after_s=3),
    "value": InvalidRequest(FieldError("prompt", "must not be empty")),
    "parameter": InvalidRequest(FieldError("model_parameters.quality", "must be one of low, high")),
    "flat parameter": InvalidRequest(FieldError("seed", "must be a whole number")),
    "refused": UpstreamRefused("No such ratio.", upstream_status=400, upstream_code="bad_ratio"),
    "no credit": UpstreamRefused("Not enough credits.", upstream_status=402),
    "account": UpstreamRefused("Key may not.", upstream_status=403),
    "disguised": UpstreamRefused("Invalid model_id", upstream_status=500),
    "away": UpstreamUnavailable("It is down.", retry_after_s=4.2),
    "text": UpstreamRefused("\ud800 is no letter", upstream_status=400),
}


def failing_app() -> FastAPI:
    app = FastAPI()
    install_problems(app, ERRORS)
    app.add_middleware(RequestScope)

    async def fail(how: str) -> None:
        raise FAILURES[how]

    for prefix in ("/v1i", "/v1", "/v3", "/api/v1"):
        app.get(f"{prefix}/fail/{{how}}")(fail)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(failing_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("prefix", ["/v1i", "/v1", "/v3"])
@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("bug", 500, "internal_error"),
        ("limit", 429, "limit_reached"),
        ("stopping", 503, "unavailable"),
        ("value", 400, "invalid_request"),
        ("parameter", 422, "invalid_request"),
        ("flat parameter", 422, "invalid_request"),
        ("refused", 400, "bad_ratio"),
        ("no credit", 402, "upstream_refused"),
        ("account", 502, "upstream_refused"),
        ("disguised", 422, "upstream_refused"),
        ("away", 503, "upstream_unavailable"),
        ("text", 400, "upstream_refused"),
    ],
)
async def test_every_failure_has_the_image_apis_shape(
    client: httpx.AsyncClient, prefix: str, how: str, status: int, code: str
) -> None:
    answer = await client.get(f"{prefix}/fail/{how}")

    failure = answer.json()
    assert (answer.status_code, failure["success"], failure["code"]) == (status, False, code)
    assert failure["message"] == failure["error"] != ""
    assert "hunter2" not in answer.text
    assert answer.headers["X-Request-Id"]


async def test_what_is_worth_waiting_for_says_how_long(client: httpx.AsyncClient) -> None:
    answers = [await client.get(f"/v1/fail/{how}") for how in ("limit", "stopping", "away")]

    assert [answer.headers["Retry-After"] for answer in answers] == ["1", "3", "5"]


async def test_paths_of_other_surfaces_keep_their_problems(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/fail/limit")

    assert answer.headers["Content-Type"] == "application/problem+json"
