"""Taking a task back: free while it waits, never a lie once it was sent."""

import asyncio
from typing import Any

import pytest

from tests.journeys.orders import create, ended, event_types, order
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox

STRANGER = "01890000-0000-7000-8000-000000000000"
ASKS_UPSTREAM = {"GATEWAY_UPSTREAM_CANCEL": "true"}


def cancel_path(task: dict[str, Any]) -> str:
    return f"/api/v1/tasks/{task['id']}/cancel"


@pytest.fixture
def asking(start_gateway: StartGateway, sandbox: Sandbox) -> Gateway:
    """A gateway that may ask the image API for a task; that one ends no task by itself."""
    sandbox.moods({"duration_s": 3600})
    return start_gateway(ASKS_UPSTREAM)


def test_a_waiting_task_is_canceled_at_once_and_is_never_sent(
    start_gateway: StartGateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    gateway = start_gateway({"GATEWAY_DISPATCH": "false"})
    gateway.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status()
    task = create(gateway.alpha)

    answer = gateway.alpha.post(cancel_path(task))

    canceled = answer.json()
    assert (task["state"], answer.status_code, canceled["state"], canceled["credits"]) == ("queued", 200, "canceled", 0)
    assert canceled["ended_at"]
    assert event_types(gateway, task["id"]) == ["task.queued", "task.canceled"]
    assert len(receiver.wait_for(1)) == 1
    assert sandbox.ledger()["creates"] == []


def test_a_task_that_was_sent_is_not_canceled_where_the_image_api_may_not_be_asked(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"duration_s": 0.5})
    task = create(gateway.alpha)

    answer = gateway.alpha.post(cancel_path(task))

    assert (answer.status_code, answer.json()["code"]) == (409, "already_sent")
    assert ended(gateway.alpha, task["id"])["state"] == "succeeded"


def test_a_task_that_has_ended_stays_as_it_ended(gateway: Gateway) -> None:
    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    answer = gateway.alpha.post(cancel_path(done))

    assert (answer.status_code, answer.json()["code"]) == (409, "already_final")
    assert gateway.alpha.get(f"/api/v1/tasks/{done['id']}").json() == done


@pytest.mark.parametrize("task_id", ["nonsense", STRANGER])
def test_there_is_nothing_to_cancel_under_an_unknown_id(gateway: Gateway, task_id: str) -> None:
    assert gateway.alpha.post(cancel_path({"id": task_id})).status_code == 404


def test_nobody_cancels_the_task_of_another_client(asking: Gateway, sandbox: Sandbox) -> None:
    task = create(asking.alpha)

    assert asking.beta.post(cancel_path(task)).status_code == 404
    assert sandbox.ledger()["creates"][0]["status"] == "doing"


@pytest.mark.parametrize("is_refunded", [True, False], ids=["refunded", "not refunded"])
def test_a_sent_task_costs_what_the_image_api_does_not_give_back(
    asking: Gateway, sandbox: Sandbox, is_refunded: bool
) -> None:
    sandbox.moods({"delete_refunds": is_refunded})
    task = create(asking.alpha)

    answer = asking.alpha.post(cancel_path(task))

    paid = sandbox.ledger()["creates"][0]
    assert (answer.status_code, answer.json()["state"], paid["status"]) == (202, "canceled", "deleted")
    assert answer.json()["credits"] == paid["credits"] - paid["refunded"] == (0 if is_refunded else 1188)
    assert event_types(asking, task["id"]) == ["task.processing", "task.canceled"]


def test_images_that_come_after_the_cancel_are_kept(asking: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"callbacks": "held"})
    task = create(asking.alpha)
    sandbox.api.post(f"/_sandbox/tasks/{task['upstream_task_id']}/finish").raise_for_status()

    canceled = asking.alpha.post(cancel_path(task)).json()
    sandbox.release_callbacks()
    late = asking.alpha.get(f"/api/v1/tasks/{task['id']}").json()

    assert (canceled["state"], canceled["credits"], canceled["images"]) == ("canceled", 1188, [])
    assert (late["state"], late["credits"], len(late["images"])) == ("canceled", 1188, 1)
    assert event_types(asking, task["id"])[-1] == "task.result_late"


@pytest.mark.parametrize(
    ("moods", "status", "code"),
    [
        ({"delete_endpoint": False}, 422, "upstream_refused"),
        ({"delete_error": {"next": 1, "status": 503, "shape": "code", "code": "busy"}}, 503, "upstream_unavailable"),
    ],
    ids=["it cannot delete", "it is busy"],
)
def test_a_task_goes_on_when_the_image_api_does_not_take_it_back(
    asking: Gateway, sandbox: Sandbox, moods: dict[str, Any], status: int, code: str
) -> None:
    sandbox.moods(moods)
    task = create(asking.alpha)

    answer = asking.alpha.post(cancel_path(task))

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert asking.alpha.get(f"/api/v1/tasks/{task['id']}").json()["state"] == "processing"


def test_a_deletion_whose_outcome_is_unknown_leaves_the_task_to_be_found_out_about(
    asking: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"delete_error": {"next": 1, "status": 500, "shape": "html"}})
    task = create(asking.alpha)

    answer = asking.alpha.post(cancel_path(task))

    assert (answer.status_code, answer.json()["state"]) == (202, "processing")


def test_a_submission_of_unknown_outcome_cannot_be_taken_back(asking: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "accepted", "how": "close"}})
    task = create(asking.alpha)

    answer = asking.alpha.post(cancel_path(task))

    assert (task["state"], answer.status_code, answer.json()["code"]) == ("unknown", 409, "already_sent")


async def test_a_canceled_task_is_never_paid_for_however_near_its_turn_was(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"duration_s": 0.3})
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "2"})

    async with gateway.async_client() as client:
        made = [(await client.post("/api/v1/tasks", json=order(prompt=f"Picture {n}"))).json() for n in range(30)]
        answers = await asyncio.gather(*(client.post(cancel_path(task)) for task in made))

    paid = {entry["prompt"] for entry in sandbox.ledger()["creates"]}
    canceled = {task["prompt"] for task, answer in zip(made, answers, strict=True) if answer.status_code == 200}
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert canceled
    assert not canceled & paid
