"""Listing tasks and subscriptions: pages, filters, and parameters that are not taken."""

import pytest

from tests.journeys.native_orders import TASKS, created, ended
from tests.support.gateway import Gateway
from tests.support.sandbox import Sandbox

SUBSCRIPTIONS = "/api/v1/subscriptions"


def test_pages_follow_each_other_from_new_to_old_without_gap_or_repeat(gateway: Gateway) -> None:
    ids = [created(gateway.alpha)["id"] for _ in range(5)]

    seen, cursor = [], {}
    while True:
        page = gateway.alpha.get(TASKS, params={"limit": 2, **cursor}).json()
        seen.append([task["id"] for task in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    newest_first = ids[::-1]
    assert seen == [newest_first[:2], newest_first[2:4], newest_first[4:]]


def test_a_page_that_ends_exactly_at_the_last_task_has_no_next_one(gateway: Gateway) -> None:
    for _ in range(2):
        created(gateway.alpha)

    assert gateway.alpha.get(TASKS, params={"limit": 2}).json()["next_cursor"] is None


def test_tasks_are_narrowed_by_state_model_reference_and_time(gateway: Gateway, sandbox: Sandbox) -> None:
    done = ended(gateway.alpha, created(gateway.alpha, client_reference="a")["id"])
    sandbox.moods({"duration_s": 60})
    open_task = created(gateway.alpha, client_reference="b", model_id="flux-2-pro")

    def listed(**params: str) -> list[str]:
        return [task["id"] for task in gateway.alpha.get(TASKS, params=params).raise_for_status().json()["items"]]

    assert listed(state="succeeded") == [done["id"]]
    assert listed(model_id="flux-2-pro") == [open_task["id"]]
    assert listed(client_reference="a") == [done["id"]]
    assert listed(created_after=done["created_at"]) == [open_task["id"]]
    assert listed(created_before=open_task["created_at"]) == [done["id"]]
    assert listed(client_reference="a", state="failed") == []


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({"status": "done"}, 400, "status"),
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "101"}, 422, "limit"),
        ({"limit": "many"}, 422, "limit"),
        ({"state": "done"}, 422, "state"),
        ({"cursor": "nonsense"}, 422, "cursor"),
        ({"cursor": "AAAAAAAAAAAAAAAAAAAAAB"}, 422, "cursor"),
        ({"cursor": "é\x00"}, 422, "cursor"),
        ({"created_after": "yesterday"}, 422, "created_after"),
        ({"created_after": "0.5"}, 422, "created_after"),
        ({"created_after": "2026-11-22T10:00:00"}, 422, "created_after"),
        ({"created_before": "0001-01-01T00:00:00+23:59"}, 422, "created_before"),
        ({"created_before": "9999-12-31T23:59:59-23:59"}, 422, "created_before"),
        ({"model_id": "a\x00b"}, 422, "model_id"),
        ({"client_reference": "\x00"}, 422, "client_reference"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(gateway: Gateway, params: dict[str, str], status: int, field: str) -> None:
    answer = gateway.alpha.get(TASKS, params=params)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    ["/api/v1/models", "/api/v1/models/flux-2-pro", SUBSCRIPTIONS, f"{TASKS}/01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"],
)
def test_no_endpoint_ignores_a_parameter_that_it_does_not_know(gateway: Gateway, path: str) -> None:
    answer = gateway.alpha.get(path, params={"verbose": "1"})

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
def test_a_wait_out_of_bounds_is_refused(gateway: Gateway, wait: str) -> None:
    task = created(gateway.alpha)

    answer = gateway.alpha.get(f"{TASKS}/{task['id']}", params={"wait": wait})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "wait")
