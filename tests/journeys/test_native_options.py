"""Small options of a request for images: a limit in credits, a deadline, a priority, a check without a task."""

from typing import Any

import pytest

from tests.journeys.orders import MODEL, create, create_with_assets, order, picture
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox

TASKS = "/api/v1/tasks"
PRICE = 1188


def test_a_request_that_costs_more_than_its_limit_is_refused_before_anything_is_kept(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    answer = gateway.alpha.post(TASKS, json=order(max_credits=PRICE - 0.5))

    assert (answer.status_code, answer.json()["code"]) == (402, "max_credits_exceeded")
    assert "1188 credits" in answer.json()["detail"]
    assert sandbox.ledger()["creates"] == []
    assert gateway.alpha.get(TASKS).json()["items"] == []


def test_a_request_within_its_limit_is_taken_and_shows_it(gateway: Gateway, sandbox: Sandbox) -> None:
    as_json = create(gateway.alpha, max_credits=PRICE, priority="low")
    as_form = create_with_assets(gateway.alpha, [picture()], max_credits=PRICE + 0.25, deadline_s=60).json()

    assert (as_json["max_credits"], as_json["priority"], as_json["deadline_at"]) == (PRICE, "low", None)
    assert (as_form["max_credits"], as_form["priority"]) == (PRICE + 0.25, "normal")
    assert as_form["deadline_at"] > as_form["created_at"]
    assert len(sandbox.ledger()["creates"]) == 2


def test_a_limit_that_cannot_be_checked_is_a_503_and_nothing_is_sent(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_RETRY_BUDGET_S": "0.2"})
    gateway.alpha.get("/api/v1/models").raise_for_status()
    sandbox.moods({"price_error": {"rate": 1, "status": 503}})

    answer = gateway.alpha.post(TASKS, json=order(max_credits=5000))

    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize("with_files", [False, True], ids=["json", "form"])
def test_a_request_can_be_checked_and_priced_without_being_made(
    gateway: Gateway, sandbox: Sandbox, with_files: bool
) -> None:
    if with_files:
        answer = create_with_assets(gateway.alpha, [picture(), picture()], validate_only=True)
    else:
        answer = gateway.alpha.post(TASKS, json=order(validate_only=True))

    found = answer.json()
    assert (answer.status_code, found["valid"], found["credits"]) == (200, True, PRICE), answer.text
    assert (found["model_id"], found["asset_count"]) == (MODEL, 2 if with_files else 0)
    assert sandbox.ledger()["creates"] == []
    assert gateway.alpha.get(TASKS).json()["items"] == []


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [({"prompt": ""}, 422, "invalid_request"), ({"max_credits": 1}, 402, "max_credits_exceeded")],
    ids=["a wrong value", "too dear"],
)
def test_a_check_alone_finds_what_the_request_itself_would_be_refused_for(
    gateway: Gateway, wrong: dict[str, Any], status: int, code: str
) -> None:
    answer = gateway.alpha.post(TASKS, json=order(validate_only=True, **wrong))

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_replay_joins_its_task_even_if_a_new_one_would_be_too_dear_by_now(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_PRICE_FRESH_S": "0.001"})
    key = {"Idempotency-Key": "order-1"}
    first = gateway.alpha.post(TASKS, json=order(max_credits=PRICE), headers=key)
    sandbox.moods({"models_patch": {MODEL: {"credits": 5000}}})

    replayed = gateway.alpha.post(TASKS, json=order(max_credits=PRICE), headers=key)
    new = gateway.alpha.post(TASKS, json=order(max_credits=PRICE))

    assert (first.status_code, replayed.status_code, new.status_code) == (202, 202, 402)
    assert replayed.json()["id"] == first.json()["id"]
