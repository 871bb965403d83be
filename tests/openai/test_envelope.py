"""Every error of the OpenAI surface comes in OpenAI's envelope and says whether it may be sent again."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.responses import Response

from service.errors import (
    BodyTooLarge,
    FieldError,
    GatewayError,
    IdempotencyKeyReused,
    InvalidRequest,
    LimitReached,
    MalformedBody,
    NotAuthenticated,
    TaskNotEnded,
    Unavailable,
    UnknownField,
    UpstreamRefused,
    UpstreamUnavailable,
)
from service.surfaces.openai.envelope import error_answer
from service.surfaces.openai.errors import ModelNotFound, PicturesNotFetched, TaskFailed
from service.web.problems import error_headers, error_status
from tests.journeys.native_orders import MODEL, picture
from tests.openai.library import PROMPT, creates
from tests.support.gateway import Gateway
from tests.support.sandbox import Sandbox

TASK = UUID("01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f")
GENERATIONS, EDITS = "/openai/v1/images/generations", "/openai/v1/images/edits"
ORDER = {"model": MODEL, "prompt": PROMPT, "response_format": "url"}


def answered(error: GatewayError) -> Response:
    return error_answer(error, error_status(error), error_headers(error))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TaskNotEnded("Later.", task_id=TASK, retry_after_s=0.5), 409, "task_not_ended"),
        (PicturesNotFetched("Later.", task_id=TASK), 502, "pictures_not_fetched"),
        (LimitReached("Slow down.", retry_after_s=2), 429, "rate_limit_exceeded"),
        (Unavailable("No database.", retry_after_s=1), 503, "unavailable"),
        (UpstreamUnavailable("Down.", retry_after_s=4), 503, "upstream_unavailable"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GatewayError) else None,
)
def test_what_is_safe_to_send_again_says_so_and_when(error: GatewayError, status: int, code: str) -> None:
    answer = answered(error)

    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "true")
    assert int(answer.headers["retry-after-ms"]) == (error.retry_after_s or 0) * 1000
    assert f'"code":"{code}"'.encode() in answer.body


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TaskFailed("It failed.", task_id=TASK, task_code="too_hot"), 502, "too_hot"),
        (UpstreamRefused("No.", upstream_status=400, upstream_code="bad_ratio"), 400, "bad_ratio"),
        (UpstreamRefused("No."), 400, "upstream_refused"),
        (UpstreamRefused("Empty.", upstream_status=402), 402, "insufficient_quota"),
        (UpstreamRefused("Not you.", upstream_status=403), 502, "upstream_refused"),
        (InvalidRequest(FieldError("n", "too many")), 400, "invalid_value"),
        (IdempotencyKeyReused(), 400, "idempotency_key_reused"),
        (UnknownField("`x`"), 400, "unknown_parameter"),
        (MalformedBody(), 400, "malformed_body"),
        (ModelNotFound(), 404, "model_not_found"),
        (NotAuthenticated(), 401, "invalid_api_key"),
        (BodyTooLarge(), 413, "body_too_large"),
        (GatewayError(), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GatewayError) else None,
)
def test_what_is_useless_to_send_again_or_could_cost_twice_says_so(error: GatewayError, status: int, code: str) -> None:
    answer = answered(error)

    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
    assert f'"code":"{code}"'.encode() in answer.body


@pytest.mark.parametrize(
    ("method", "path", "request_", "status"),
    [
        ("GET", "/openai/v1/nothing", {}, 404),
        ("GET", "/openai/v1/images/generations", {}, 405),
        ("DELETE", "/openai/v1/models", {}, 405),
        ("POST", GENERATIONS, {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", GENERATIONS, {"json": ["a list"]}, 400),
        ("POST", GENERATIONS, {"data": {"prompt": PROMPT}}, 415),
        ("POST", GENERATIONS, {"json": {**ORDER, "prompt": "x" * 300_000}}, 413),
        ("POST", GENERATIONS, {"json": ORDER, "params": {"verbose": "1"}}, 400),
        ("POST", EDITS, {"json": ORDER}, 415),
        ("POST", EDITS, {"files": {"image": b"\0" * 6_000_000}}, 413),
        ("POST", EDITS, {"files": {"picture": picture()}}, 400),
        ("POST", EDITS, {"files": [("n", (None, "1")), ("n", (None, "2")), ("image", picture())]}, 400),
        ("POST", EDITS, {"files": [("stream", (None, "maybe")), ("image", picture())]}, 400),
    ],
)
def test_every_error_of_these_paths_has_the_envelope(
    gateway: Gateway, sandbox: Sandbox, method: str, path: str, request_: dict[str, Any], status: int
) -> None:
    answer = gateway.alpha.request(method, path, **request_)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"].keys() == {"message", "type", "code", "param"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    assert creates(sandbox) == 0


def test_without_a_key_the_answer_has_the_envelope_and_names_the_scheme(gateway: Gateway) -> None:
    answer: httpx.Response = gateway.anonymous.post(GENERATIONS, json=ORDER)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_null_is_as_good_as_nothing(gateway: Gateway, sandbox: Sandbox) -> None:
    nothings = dict.fromkeys(("n", "size", "quality", "stream", "background", "user", "style", "moderation"))

    answer = gateway.alpha.post(GENERATIONS, json={**ORDER, **nothings})

    assert len(answer.json()["data"]) == 1
    assert creates(sandbox) == 1
