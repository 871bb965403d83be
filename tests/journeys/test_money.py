"""What a task costs: its ledger adds up to its credits, and to what the image API charged and gave back."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.journeys.orders import create, ended, in_state, order
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

TASKS = "/api/v1/tasks"
PRICE = 1188


def entries(gateway: Gateway, task_id: str) -> list[tuple[str, int]]:
    rows = gateway.database.rows("SELECT kind, credits FROM ledger WHERE task_id = $1 ORDER BY created_at, id", task_id)
    return [(row["kind"], int(row["credits"])) for row in rows]


def shown(gateway: Gateway, task_id: str) -> dict[str, Any]:
    return dict(gateway.alpha.get(f"{TASKS}/{task_id}").raise_for_status().json())


def report(task: dict[str, Any], status: str, cost: int | None = PRICE) -> dict[str, Any]:
    """What the image API tells of a task."""
    images = [{"id": "i1", "imageUrl": "https://cdn.example/1.png"}] if status == "done" else []
    told = {"id": task["upstream_task_id"], "status": status, "metadata": {"result_images": images}}
    return told if cost is None else told | {"credit_cost": cost}


def tell(sandbox: Sandbox, body: dict[str, Any]) -> None:
    httpx.post(sandbox.ledger()["creates"][0]["receive_url"], json=body).raise_for_status()


@pytest.fixture
def running(gateway: Gateway, sandbox: Sandbox) -> dict[str, Any]:
    """A task that the sandbox will not end by itself."""
    sandbox.moods({"duration_s": 3600})
    return create(gateway.alpha)


@pytest.mark.parametrize(
    ("moods", "kinds"),
    [
        ({}, ["charge"]),
        ({"task_error": {"next": 1, "refund": True}}, ["charge", "refund"]),
        ({"estimated_credits_form": "missing"}, ["charge"]),
        ({"estimated_credits_form": "string"}, ["charge"]),
        ({"callback_early": {"next": 1}}, ["charge"]),
        ({"estimated_credits_form": "missing", "task_error": {"next": 1, "refund": True}}, []),
        ({"callback_twice": {"next": 1}}, ["charge"]),
    ],
    ids=[
        "success",
        "failure",
        "no estimate",
        "an estimate as text",
        "told before the answer",
        "unpriced failure",
        "twice",
    ],
)
def test_the_ledger_of_a_task_is_what_the_image_api_charged_and_gave_back(
    gateway: Gateway, sandbox: Sandbox, moods: dict[str, Any], kinds: list[str]
) -> None:
    sandbox.moods(moods)

    task = ended(gateway.alpha, create(gateway.alpha)["id"])

    paid = sandbox.ledger()["creates"][0]
    written = entries(gateway, task["id"])
    assert [kind for kind, _ in written] == kinds
    assert sum(credits for _, credits in written) == task["credits"] == paid["credits"] - paid["refunded"]


def test_a_running_task_has_a_charge_but_no_final_cost_yet(gateway: Gateway, running: dict[str, Any]) -> None:
    assert entries(gateway, running["id"]) == [("charge", PRICE)]
    assert (running["estimated_credits"], running["credits"]) == (PRICE, None)


def test_a_refused_task_costs_nothing(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 422, "shape": "code", "code": "moderation"}})

    answer = gateway.alpha.post(TASKS, json=order())

    task = gateway.alpha.get(TASKS).json()["items"][0]
    assert (answer.status_code, task["state"], task["credits"]) == (422, "failed", 0)
    assert entries(gateway, task["id"]) == []


def test_a_final_cost_that_differs_from_the_estimate_is_a_correction(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    tell(sandbox, report(running, "done", 986))

    assert entries(gateway, running["id"]) == [("charge", PRICE), ("correction", 986 - PRICE)]
    assert shown(gateway, running["id"])["credits"] == 986


def test_a_result_that_names_no_cost_costs_what_was_charged(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    tell(sandbox, report(running, "done", None))

    assert entries(gateway, running["id"]) == [("charge", PRICE)]
    assert shown(gateway, running["id"])["credits"] == PRICE


@pytest.mark.parametrize(
    ("status", "cost", "correction", "final"),
    [
        ("error", PRICE, ("refund", -PRICE), 0),
        ("done", 986, ("correction", 986 - PRICE), 986),
        ("done", PRICE, None, PRICE),
    ],
    ids=["failed after all", "done for less", "done as charged"],
)
def test_a_task_past_its_deadline_costs_its_charge_until_a_late_report_corrects_it(
    gateway: Gateway, sandbox: Sandbox, status: str, cost: int, correction: tuple[str, int] | None, final: int
) -> None:
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha, deadline_s=1)
    late = in_state(gateway, task["id"], "failed")

    tell(sandbox, report(task, status, cost))

    assert (late["error"]["code"], late["credits"]) == ("deadline_exceeded", PRICE)
    assert entries(gateway, task["id"]) == [("charge", PRICE), *([correction] if correction else [])]
    assert shown(gateway, task["id"])["credits"] == final


def test_a_task_whose_deadline_passes_while_it_waits_costs_nothing(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_DISPATCH": "false"})
    task = create(gateway.alpha, deadline_s=1)

    late = in_state(gateway, task["id"], "failed")

    assert (late["error"]["code"], late["credits"], late["deadline_at"]) == (
        "deadline_exceeded",
        0,
        task["deadline_at"],
    )
    assert sandbox.ledger()["creates"] == []


def test_twenty_reports_at_once_are_written_down_once(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any]
) -> None:
    costs = [900 + number for number in range(20)]

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda cost: tell(sandbox, report(running, "done", cost)), costs))

    final = shown(gateway, running["id"])["credits"]
    assert final in costs
    assert entries(gateway, running["id"]) == [("charge", PRICE), ("correction", final - PRICE)]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_told_in_whatever_order_the_ledger_adds_up(
    gateway: Gateway, sandbox: Sandbox, running: dict[str, Any], seed: int
) -> None:
    dice = random.Random(seed)
    gateway.database.execute("UPDATE tasks SET deadline_at = now() WHERE $1", dice.random() < 0.5)
    gateway.database.execute("UPDATE tasks SET poll_at = now()")

    for _ in range(6):
        tell(sandbox, report(running, dice.choice(["doing", "done", "error"]), dice.choice([None, 0, 986, 5000])))
        total, credits = gateway.database.rows("SELECT (SELECT sum(credits) FROM ledger) AS total, credits FROM tasks")[
            0
        ].values()
        assert total == credits


def test_a_submission_that_is_given_up_is_settled_at_its_price_until_a_late_report_corrects_it(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_UNKNOWN_GIVE_UP_S": "0.1", "GATEWAY_RECONCILE_QUIET_S": "0.2"})
    cut = {"next": 1, "at": "accepted", "how": "close"}
    sandbox.moods({"create_cut": cut, "duration_s": 3600, "list_endpoint": False})
    task = create(gateway.alpha)
    given_up = in_state(gateway, task["id"], "failed")
    estimated = entries(gateway, task["id"])
    upstream_id = sandbox.ledger()["creates"][0]["task_id"]

    sandbox.api.post(f"/_sandbox/tasks/{upstream_id}/finish").raise_for_status()
    eventually(lambda: shown(gateway, task["id"])["images"], what="the late result")

    assert (given_up["error"]["code"], given_up["credits"]) == ("submission_outcome_unknown", PRICE)
    assert estimated == entries(gateway, task["id"]) == [("estimate", PRICE)]
    assert shown(gateway, task["id"])["credits"] == PRICE


def test_a_given_up_submission_that_failed_after_all_costs_nothing(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway({"GATEWAY_UNKNOWN_GIVE_UP_S": "0.1", "GATEWAY_RECONCILE_QUIET_S": "0.2"})
    cut = {"next": 1, "at": "accepted", "how": "close"}
    sandbox.moods({"create_cut": cut, "duration_s": 3600, "list_endpoint": False})
    task = create(gateway.alpha)
    in_state(gateway, task["id"], "failed")

    sandbox.api.post(f"/_sandbox/tasks/{sandbox.ledger()['creates'][0]['task_id']}/fail").raise_for_status()
    eventually(lambda: shown(gateway, task["id"])["credits"] == 0, what="the refund")

    assert entries(gateway, task["id"]) == [("estimate", PRICE), ("refund", -PRICE)]
