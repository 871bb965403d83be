"""A failed task's request can be sent again, as a new task, unless that might pay twice unawares."""

from typing import Any

import pytest

from tests.journeys.orders import create, create_with_assets, ended, picture
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox


def failed(gateway: Gateway, sandbox: Sandbox) -> dict[str, Any]:
    sandbox.moods({"task_error": {"next": 1}})
    return ended(gateway.alpha, create(gateway.alpha, metadata={"page": 3})["id"])


def test_a_failed_task_is_sent_again_as_a_new_one(gateway: Gateway, sandbox: Sandbox) -> None:
    task = failed(gateway, sandbox)

    answer = gateway.alpha.post(f"/api/v1/tasks/{task['id']}/resubmit")
    done = ended(gateway.alpha, answer.json()["id"])

    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.headers["location"].endswith(done["id"])
    assert (done["state"], done["metadata"], done["prompt"]) == ("succeeded", {"page": 3}, task["prompt"])
    assert gateway.alpha.get(f"/api/v1/tasks/{task['id']}").json() == task


def test_stored_assets_go_along(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"})
    sandbox.moods({"duration_s": 0.5})
    create(gateway.alpha)
    waiting = create_with_assets(gateway.alpha, [picture()]).json()
    sandbox.moods({"task_error": {"next": 1}})
    task = ended(gateway.alpha, waiting["id"])

    again = gateway.alpha.post(f"/api/v1/tasks/{task['id']}/resubmit").json()

    assert (waiting["state"], task["state"]) == ("queued", "failed")
    assert ended(gateway.alpha, again["id"])["state"] == "succeeded"
    assert sandbox.ledger()["creates"][2]["assets"][0]["sha256"] == task["assets"][0]["sha256"]


def test_assets_that_were_never_stored_are_gone(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"task_error": {"next": 1}})
    task = ended(gateway.alpha, create_with_assets(gateway.alpha, [picture()]).json()["id"])

    answer = gateway.alpha.post(f"/api/v1/tasks/{task['id']}/resubmit")

    assert (answer.status_code, answer.json()["code"]) == (409, "assets_gone")


def test_what_may_cost_twice_needs_a_word(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, "at": "accepted", "how": "close"}, "callbacks": "off"})
    task = create(gateway.alpha)
    path = f"/api/v1/tasks/{task['id']}/resubmit"

    refused = gateway.alpha.post(path)
    again = gateway.alpha.post(path, params={"accept_duplicate_cost": "true"})

    assert task["state"] == "unknown"
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_cost_not_accepted")
    assert again.status_code == 202


@pytest.mark.parametrize("state", ["processing", "succeeded"])
def test_only_a_failed_task_is_sent_again(state: str, gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 3600 if state == "processing" else 0})
    task = create(gateway.alpha)
    if state == "succeeded":
        ended(gateway.alpha, task["id"])

    answer = gateway.alpha.post(f"/api/v1/tasks/{task['id']}/resubmit")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_failed")


def test_another_clients_task_is_not_there(gateway: Gateway, sandbox: Sandbox) -> None:
    assert gateway.beta.post(f"/api/v1/tasks/{failed(gateway, sandbox)['id']}/resubmit").status_code == 404
