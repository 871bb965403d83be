"""Error answers on demand: every known body, on every call, before or after the money is gone."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.sandbox.orders import create, created
from tests.support.sandbox import Sandbox

SHAPES: dict[str, Any] = {
    "message": {"success": False, "message": "boom"},
    "error_text": {"success": False, "error": "boom"},
    "error_object": {"error": {"message": "boom", "type": "kaput"}},
    "code": {"success": False, "code": "kaput", "message": "boom"},
    "error_message": {"error_message": "boom"},
    "errors": {"errors": [{"field": "model_id", "message": "boom"}]},
}
CALLS: dict[str, Callable[[Sandbox], httpx.Response]] = {
    "create_error": create,
    "price_error": lambda s: s.api.post("/v1i/task/price", json={"model_id": "gpt-image-1"}),
    "models_error": lambda s: s.api.get("/v1i/models"),
    "list_error": lambda s: s.api.get("/v1/tasks"),
    "credits_error": lambda s: s.api.get("/v1/credits"),
    "delete_error": lambda s: s.api.post("/v1/task/delete", json={"task_ids": []}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("knob", CALLS)
def test_each_call_can_fail_with_each_known_body(sandbox: Sandbox, knob: str, shape: str) -> None:
    sandbox.moods({knob: {"next": 1, "status": 502, "shape": shape, "code": "kaput", "message": "boom"}})

    failed, healthy = (CALLS[knob](sandbox) for _ in range(2))

    assert (failed.status_code, failed.json()) == (502, SHAPES[shape])
    assert healthy.status_code == 200


@pytest.mark.parametrize("path", ["/v1/task/{}", "/v1/task/{}/full", "/v3/task/{}"])
def test_a_poll_can_fail_under_each_of_its_names(sandbox: Sandbox, path: str) -> None:
    task_id = created(sandbox)
    sandbox.moods({"poll_error": {"next": 1, "status": 500}})

    assert [sandbox.api.get(path.format(task_id)).status_code for _ in range(2)] == [500, 200]


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ("html", "text/html; charset=utf-8", "<h1>502</h1>"),
        ("empty", "application/json", ""),
        ("garbage", "application/json", "{"),
    ],
)
def test_an_error_need_not_be_json(sandbox: Sandbox, shape: str, kind: str, words: str) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 502, "shape": shape}})

    answer = create(sandbox)

    assert (answer.status_code, answer.headers["content-type"]) == (502, kind)
    assert words in answer.text
    assert shape != "garbage" or not answer.text.endswith("}")


def test_html_may_come_with_status_200(sandbox: Sandbox) -> None:
    sandbox.moods({"models_error": {"next": 1, "status": 200, "shape": "html"}})

    answer = sandbox.api.get("/v1i/models")

    assert (answer.status_code, answer.text[:9]) == (200, "<!DOCTYPE")


@pytest.mark.parametrize(("when", "paid"), [("before", 0), ("after", 1)])
def test_a_failed_create_may_have_been_charged(sandbox: Sandbox, when: str, paid: int) -> None:
    sandbox.moods({"create_error": {"next": 1, "when": when}})

    answer = create(sandbox)

    assert answer.status_code == 500
    assert sandbox.ledger()["creates_total"] == paid
    assert sandbox.ledger()["balance"] == 1_000_000 - paid * 1188


def test_an_error_may_say_when_to_come_back(sandbox: Sandbox) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 429, "retry_after_s": 17}})

    assert create(sandbox).headers["Retry-After"] == "17"


def test_errors_come_at_the_rate_that_was_set(sandbox: Sandbox) -> None:
    sandbox.moods({"models_error": {"rate": 0.5}})

    statuses = [sandbox.api.get("/v1i/models").status_code for _ in range(100)]

    assert 30 <= statuses.count(500) <= 70


@pytest.mark.parametrize("call", ["create_error", "price_error", "models_error"])
def test_a_valid_key_may_get_401_which_means_throttling(sandbox: Sandbox, call: str) -> None:
    sandbox.moods({"throttle_401": {"next": 2}})

    statuses = [CALLS[call](sandbox).status_code for _ in range(3)]

    assert statuses == [401, 401, 200]
    assert sandbox.ledger()["refused"] == {"throttled_401": 2}


def test_throttling_comes_at_the_rate_that_was_set_and_spares_polls(sandbox: Sandbox) -> None:
    task_id = created(sandbox)
    sandbox.moods({"throttle_401": {"rate": 1}})

    assert sandbox.api.get("/v1i/models").json() == {"success": False, "message": "Unauthorized"}
    assert sandbox.api.get(f"/v1/task/{task_id}").status_code == 200


@pytest.mark.parametrize(
    "request_",
    [{}, {"model_id": "gpt-image-1", "assets": "two"}, {"model_id": "gpt-image-1", "assets": 99}],
    ids=["no model", "assets in words", "more assets than the model takes"],
)
def test_a_wrong_price_request_is_400(sandbox: Sandbox, request_: dict[str, Any]) -> None:
    assert sandbox.api.post("/v1i/task/price", json=request_).status_code == 400


def test_an_unknown_model_is_dressed_as_a_500_that_lists_the_valid_ones(sandbox: Sandbox) -> None:
    answer = sandbox.api.post("/v1i/task/price", json={"model_id": "no-such-model"})

    assert answer.status_code == 500
    assert answer.json()["message"].startswith("Invalid model_id")
    assert "bytedance-seedream-4.5" in answer.json()["message"]
