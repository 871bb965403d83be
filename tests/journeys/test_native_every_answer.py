"""What every answer carries, and the answers of paths and methods that do not exist."""

import json
import re

import pytest

from tests.journeys.native_orders import TASKS, created
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def log_lines(gateway: Gateway) -> list[dict[str, object]]:
    return [json.loads(line) for line in gateway.program.log_of_this_test().splitlines() if line.startswith("{")]


def logged(gateway: Gateway, request_id: str) -> dict[str, object]:
    def look() -> list[dict[str, object]]:
        return [
            line for line in log_lines(gateway) if line["event"] == "request" and line.get("request_id") == request_id
        ]

    return eventually(look, what="the log line of the request")[0]


def test_a_sane_request_id_is_kept_and_any_other_replaced(gateway: Gateway) -> None:
    kept = gateway.alpha.get(TASKS, headers={"X-Request-Id": "shop-4711.a_b"}).headers["X-Request-Id"]
    made = gateway.alpha.get(TASKS, headers={"X-Request-Id": "a b;<script>"}).headers["X-Request-Id"]

    assert kept == "shop-4711.a_b"
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_server_timing_tells_database_upstream_and_total(gateway: Gateway) -> None:
    answer = gateway.alpha.post(TASKS, json={"prompt": "a", "model_id": "flux-2-pro"})

    spent = {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([0-9.]+)", answer.headers["Server-Timing"])}
    assert set(spent) == {"db", "upstream", "total"}
    assert 0 < spent["upstream"] < spent["total"]
    assert 0 < spent["db"] < spent["total"]


def test_one_log_line_tells_route_status_and_client(gateway: Gateway) -> None:
    task = created(gateway.alpha)

    answer = gateway.alpha.get(f"{TASKS}/{task['id']}", headers={"traceparent": TRACE})

    line = logged(gateway, answer.headers["X-Request-Id"])
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/tasks/{task_id}", 200)
    assert (line["client"], line["traceparent"]) == ("alpha", TRACE)
    assert isinstance(line["duration_ms"], float)


def test_a_prompt_reaches_neither_log_nor_metrics(gateway: Gateway) -> None:
    created(gateway.alpha, prompt="the unspeakable lighthouse")
    gateway.alpha.post(TASKS, json={"prompt": "the unspeakable lighthouse", "model_id": "no-such-model"})

    assert "unspeakable" not in gateway.program.log()
    assert "unspeakable" not in gateway.anonymous.get("/metrics").text


def test_a_callback_token_never_reaches_the_log(gateway: Gateway) -> None:
    path = "/callbacks/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f/1.a-token-that-is-secret"

    answer = gateway.anonymous.post(path, content=b"{}")

    line = logged(gateway, answer.headers["X-Request-Id"])
    assert answer.status_code == 404
    assert line["route"] == "/callbacks/{task_id}/{token}"
    assert "a-token-that-is-secret" not in gateway.program.log()


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/api/v2/tasks", "/api/v1/tasks/a/b"])
def test_a_path_that_is_not_there_is_a_404_problem(gateway: Gateway, path: str) -> None:
    answer = gateway.alpha.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", TASKS, {"GET", "POST"}), ("POST", "/api/v1/models", {"GET"}), ("TRACE", "/api/v1/quotes", {"POST"})],
)
def test_a_method_that_is_not_taken_is_a_405_that_names_those_that_are(
    gateway: Gateway, method: str, path: str, allowed: set[str]
) -> None:
    answer = gateway.alpha.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allowed


def test_requests_are_counted_by_route_template(gateway: Gateway) -> None:
    task = created(gateway.alpha)
    gateway.alpha.get(f"{TASKS}/{task['id']}")
    gateway.alpha.request("BREW", "/coffee")

    counted = gateway.anonymous.get("/metrics").text

    assert 'gateway_http_request_seconds_count{method="GET",route="/api/v1/tasks/{task_id}",status="200"}' in counted
    assert task["id"] not in counted
    assert "BREW" not in counted
    assert "coffee" not in counted


def test_readiness_names_each_check(gateway: Gateway) -> None:
    answer = gateway.anonymous.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "checks": {"database": "ok", "migrations": "ok", "loops": "ok"}}
