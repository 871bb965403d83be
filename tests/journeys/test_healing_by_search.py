"""A paid call without an answer is looked for in the image API's own list; nothing is ever sent twice."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.journeys.orders import create, ended, event_types, in_state, order
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

SEARCHING = {
    "GATEWAY_RECONCILE_QUIET_S": "0.2",
    "GATEWAY_UNKNOWN_SEARCH_FIRST_S": "0.2",
    "GATEWAY_RECONCILE_POLLS_PER_S": "50",
}
TAKEN = {"at": "accepted", "how": "close"}
NOT_TAKEN = {"at": "read_not_accepted", "how": "close"}


@pytest.fixture
def searching(start_gateway: StartGateway) -> Gateway:
    """A gateway that searches after a moment."""
    return start_gateway(SEARCHING)


def paid(sandbox: Sandbox) -> list[str]:
    """The ids of everything that was charged, in the order in which it was taken."""
    return [create["task_id"] for create in sandbox.ledger()["creates"]]


@pytest.mark.parametrize("shown", [True, False], ids=["its receive_url", "request and time"])
def test_a_call_that_was_taken_without_an_answer_is_found_by(
    shown: bool, searching: Gateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "callbacks": "off", "list_shows_receive_url": shown})
    searching.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status()

    task = create(searching.alpha)
    done = ended(searching.alpha, task["id"])

    assert task["state"] == "unknown"
    assert (done["state"], done["credits"], len(done["images"])) == ("succeeded", 1188, 1)
    assert [done["upstream_task_id"]] == paid(sandbox)
    assert len(receiver.wait_for(1)) == 1


def test_a_found_task_that_still_runs_goes_on_as_if_it_had_been_answered(searching: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "duration_s": 3600, "list_shows_receive_url": True})

    found = in_state(searching, create(searching.alpha)["id"], "processing")
    sandbox.api.post(f"/_sandbox/tasks/{found['upstream_task_id']}/finish").raise_for_status()

    assert found["estimated_credits"] == 1188
    assert ended(searching.alpha, found["id"])["state"] == "succeeded"
    assert event_types(searching, found["id"]) == ["task.processing", "task.succeeded"]
    assert len(paid(sandbox)) == 1


def test_a_found_task_that_failed_upstream_fails_with_its_reason(searching: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "callbacks": "off", "task_error": {"next": 1}})

    done = ended(searching.alpha, create(searching.alpha)["id"])

    assert (done["state"], done["error"]["code"]) == ("failed", "upstream_failed")
    assert len(paid(sandbox)) == 1


def test_identical_requests_of_one_client_pair_in_the_order_of_time(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    api = start_gateway(SEARCHING, role="api")
    sandbox.moods({"create_cut": {"next": 3, **TAKEN}, "callbacks": "off"})
    tasks = [create(api.alpha) for _ in range(3)]

    start_gateway(SEARCHING, role="worker")
    upstream_ids = [ended(api.alpha, task["id"])["upstream_task_id"] for task in tasks]

    assert upstream_ids == paid(sandbox)


def test_the_same_request_of_two_clients_is_never_mixed_up(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    giving_up = SEARCHING | {"GATEWAY_UNKNOWN_GIVE_UP_S": "10"}
    api = start_gateway(giving_up, role="api")
    sandbox.moods({"create_cut": {"next": 2, **TAKEN}, "callbacks": "off"})
    tasks = [create(api.alpha), create(api.beta)]

    start_gateway(giving_up, role="worker")
    eventually(lambda: sandbox.ledger()["lists"] >= 2, what="a search")
    done = [ended(client, task["id"]) for client, task in zip((api.alpha, api.beta), tasks, strict=True)]

    assert {task["error"]["code"] for task in done} == {"submission_outcome_unknown"}
    assert len(paid(sandbox)) == 2


def test_a_submission_is_found_behind_a_page_of_newer_tasks(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    api = start_gateway(SEARCHING, role="api")
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "callbacks": "off", "duration_s": 0})
    task = create(api.alpha)
    for number in range(105):
        form = {"prompt": f"Somebody else's {number}", "model_id": task["model_id"]}
        sandbox.api.post("/v1i/task/generate-image", files={name: (None, form[name]) for name in form})

    start_gateway(SEARCHING, role="worker")
    done = ended(api.alpha, task["id"])

    assert len(paid(sandbox)) == 106
    assert (done["state"], done["upstream_task_id"]) == ("succeeded", paid(sandbox)[0])


def test_a_call_that_never_arrived_fails_as_not_found_and_charged_nothing(searching: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, **NOT_TAKEN}})

    task = create(searching.alpha)
    done = ended(searching.alpha, task["id"])

    assert task["state"] == "unknown"
    assert (done["state"], done["error"]["code"]) == ("failed", "submission_not_found")
    assert paid(sandbox) == []
    assert sandbox.ledger()["lists"] >= 2


def test_tasks_that_are_ours_already_are_no_candidates(searching: Gateway, sandbox: Sandbox) -> None:
    answered = create(searching.alpha)
    sandbox.moods({"create_cut": {"next": 1, **NOT_TAKEN}})

    lost = ended(searching.alpha, create(searching.alpha)["id"])

    assert lost["error"]["code"] == "submission_not_found"
    assert [ended(searching.alpha, answered["id"])["upstream_task_id"]] == paid(sandbox)


NO_LISTS: Mapping[str, tuple[dict[str, str], dict[str, Any]]] = {
    "the image API has no list": ({}, {"list_endpoint": False}),
    "its list takes no GET": ({}, {"list_error": {"rate": 1, "status": 405}}),
    "searching is switched off": ({"GATEWAY_UPSTREAM_LISTS_TASKS": "false"}, {}),
}


@pytest.mark.parametrize(("settings", "moods"), NO_LISTS.values(), ids=NO_LISTS)
def test_the_give_up_time_decides_when(
    settings: dict[str, str], moods: dict[str, Any], start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SEARCHING | {"GATEWAY_UNKNOWN_GIVE_UP_S": "1"} | settings)
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "callbacks": "off", **moods})

    done = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert (done["state"], done["error"]["code"]) == ("failed", "submission_outcome_unknown")
    assert len(paid(sandbox)) == 1


def test_a_busy_list_is_asked_again(searching: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "callbacks": "off", "list_error": {"next": 2, "status": 503}})

    assert ended(searching.alpha, create(searching.alpha)["id"])["state"] == "succeeded"
    assert len(paid(sandbox)) == 1


def test_a_late_report_still_settles_a_submission_that_was_not_found(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SEARCHING)
    sandbox.moods({"create_cut": {"next": 1, **TAKEN}, "callbacks": "held"})
    task_id = gateway.alpha.post("/api/v1/tasks", json=order()).json()["id"]
    # What a list that lags behind would lead to: the gateway has ended the task by itself.
    gateway.database.execute(
        """UPDATE tasks SET state = 'failed', error_code = 'submission_not_found', error_message = 'not listed',
        ended_at = now(), poll_at = NULL, upstream_task_id = NULL, reported_at = NULL, images = '[]' WHERE id = $1""",
        task_id,
    )

    eventually(lambda: sandbox.api.post("/_sandbox/callbacks/release").json()["released"], what="a held callback")
    late = eventually(lambda: event_types(gateway, task_id)[-1:] == ["task.result_late"], what="a late result")

    assert late
    assert len(gateway.alpha.get(f"/api/v1/tasks/{task_id}").json()["images"]) == 1
