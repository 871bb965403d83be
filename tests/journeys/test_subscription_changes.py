"""Subscriptions change by merge patches: paused and resumed, moved, narrowed, never past the allow-list."""

from typing import Any

import pytest

from tests.journeys.orders import create, ended
from tests.journeys.subscribers import path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually

URL = "http://127.0.0.1:9/hook"
FAILING = """
    UPDATE subscriptions SET state = 'disabled', disabled_reason = 'failing', failures_in_row = 7,
        failing_since = now() - interval '5 days', rests_until = now() + interval '5 minutes'
"""
AT_EASE = {"disabled_reason": None, "failures_in_row": 0, "failing_since": None, "rests_until": None}


def changed(gateway: Gateway, subscription: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = gateway.alpha.patch(path_of(subscription), json=changes)
    assert answer.status_code == 200, answer.text
    assert gateway.alpha.get(path_of(subscription)).json() == answer.json()
    return dict(answer.json())


def test_what_is_named_changes_and_all_else_stays(gateway: Gateway) -> None:
    made = subscribe(gateway.alpha, URL, description="old", timeout_s=3, filter={"model_id": ["a"]})

    after = changed(gateway, made, description="new", max_in_flight=2)

    del made["secret"]
    assert after == {**made, "description": "new", "max_in_flight": 2, "updated_at": after["updated_at"]}
    assert after["updated_at"] > made["updated_at"]


def test_null_sets_back_what_can_be_left_out(gateway: Gateway) -> None:
    options = {"description": "x", "timeout_s": 3, "max_in_flight": 2, "rate_per_s": 1.5}
    made = subscribe(gateway.alpha, URL, **options, event_types=["task.failed"], filter={"model_id": ["a"]})

    after = changed(gateway, made, **dict.fromkeys((*options, "event_types", "filter")))

    assert (after["description"], after["timeout_s"], after["max_in_flight"], after["rate_per_s"]) == (
        "",
        None,
        None,
        None,
    )
    assert after["event_types"] == ["task.succeeded", "task.failed", "task.canceled", "task.result_late"]
    assert after["filter"] is None


def test_the_members_of_a_filter_change_one_by_one(gateway: Gateway) -> None:
    made = subscribe(gateway.alpha, URL, filter={"model_id": ["a"], "metadata": {"shop": "north", "page": 3}})

    after = changed(gateway, made, filter={"model_id": None, "client_reference": ["x"], "metadata": {"page": 4}})

    assert after["filter"] == {"client_reference": ["x"], "metadata": {"shop": "north", "page": 4}}


def test_an_empty_patch_changes_nothing_but_the_time(gateway: Gateway) -> None:
    made = subscribe(gateway.alpha, URL)

    after = changed(gateway, made)

    assert {**after, "updated_at": made["updated_at"]} == {name: made[name] for name in made if name != "secret"}


def test_while_it_is_paused_events_wait_and_resuming_sends_them(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    with Receiver() as other:
        subscribe(gateway.alpha, other.url)
        assert changed(gateway, made, state="paused")["state"] == "paused"
        tasks = [ended(gateway.alpha, create(gateway.alpha)["id"]) for _ in range(2)]
        other.wait_for(2)
        before_resuming = receiver.received()

        assert changed(gateway, made, state="active")["state"] == "active"

        assert before_resuming == []
        bodies = b"".join(each.body for each in receiver.wait_for(2))
        assert all(task["id"].encode() in bodies for task in tasks)


@pytest.mark.parametrize("state", ["active", "paused"])
def test_a_disabled_one_can_be_taken_up_again(gateway: Gateway, state: str) -> None:
    made = subscribe(gateway.alpha, URL)
    gateway.database.execute(FAILING)
    shown = gateway.alpha.get(path_of(made)).json()

    after = changed(gateway, made, state=state)

    assert (shown["state"], shown["disabled_reason"], shown["failures_in_row"]) == ("disabled", "failing", 7)
    assert shown["failing_since"] < shown["created_at"] < shown["rests_until"]
    assert (after["state"], after["disabled_reason"]) == (state, None)
    if state == "active":
        assert {name: after[name] for name in AT_EASE} == AT_EASE


def test_resuming_ends_a_rest_at_once(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    gateway.database.execute("UPDATE subscriptions SET failures_in_row = 9, rests_until = now() + interval '1 hour'")
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    assert receiver.received() == []

    changed(gateway, made, state="active")

    [notification] = receiver.wait_for(1)
    assert task["id"].encode() in notification.body


def test_another_address_starts_afresh_and_gets_what_waits(gateway: Gateway, receiver: Receiver) -> None:
    receiver.answer(then=Answer(500))
    made = subscribe(gateway.alpha, receiver.url)
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    eventually(lambda: gateway.alpha.get(path_of(made)).json()["failures_in_row"], what="a failure is counted")

    with Receiver() as moved:
        after = changed(gateway, made, url=moved.url)

        assert (after["url"], after["state"], after["failures_in_row"]) == (moved.url, "active", 0)
        assert task["id"].encode() in moved.wait_for(1, timeout_s=20)[0].body


def test_the_address_of_a_callback_url_stays_its_own(gateway: Gateway) -> None:
    create(gateway.alpha, callback_url=URL)
    [inline] = gateway.alpha.get("/api/v1/subscriptions").json()["items"]

    moved = gateway.alpha.patch(path_of(inline), json={"url": f"{URL}/2"})
    described = changed(gateway, inline, description="of orders", state="paused", url=URL)

    assert (moved.status_code, moved.json()["errors"][0]["field"]) == (422, "url")
    assert (described["description"], described["state"], described["inline"]) == ("of orders", "paused", True)


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"url": "http://169.254.169.254/"}, 422, "url"),
        ({"url": "http://8.8.8.8/"}, 422, "url"),
        ({"url": None}, 422, "url"),
        ({"url": ""}, 422, "url"),
        ({"url": "http://127.0.0.1:9/\x00"}, 422, "url"),
        ({"state": "disabled"}, 422, "state"),
        ({"state": None}, 422, "state"),
        ({"event_types": []}, 422, "event_types"),
        ({"event_types": ["task.exploded"]}, 422, "event_types.0"),
        ({"timeout_s": 31}, 422, "timeout_s"),
        ({"max_in_flight": 33}, 422, "max_in_flight"),
        ({"rate_per_s": 0}, 422, "rate_per_s"),
        ({"filter": {"model_id": []}}, 422, "filter.model_id"),
        ({"filter": {"metadata": 7}}, 422, "filter.metadata"),
        ({"description": "x" * 501}, 422, "description"),
        ({"format": "upstream"}, 400, "format"),
        ({"inline": True}, 400, "inline"),
        ({"secret": "whsec_mine"}, 400, "secret"),
        ({"disabled_reason": None}, 400, "disabled_reason"),
    ],
    ids=str,
)
def test_a_wrong_change_is_named_and_changes_nothing(
    gateway: Gateway, changes: dict[str, object], status: int, field: str
) -> None:
    made = subscribe(gateway.alpha, URL)

    answer = gateway.alpha.patch(path_of(made), json={"description": "half", **changes})

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    del made["secret"]
    assert gateway.alpha.get(path_of(made)).json() == made


def test_the_image_apis_form_takes_no_other_events(gateway: Gateway) -> None:
    made = subscribe(gateway.alpha, URL, format="upstream")

    answer = gateway.alpha.patch(path_of(made), json={"event_types": ["task.succeeded", "task.result_late"]})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "event_types.1")


@pytest.mark.parametrize("action", ["", "rotate-secret", "test"], ids=["change", "rotate", "test"])
def test_anothers_subscription_can_neither_be_changed_nor_rotated_nor_tested(gateway: Gateway, action: str) -> None:
    made = subscribe(gateway.alpha, URL)
    method = "POST" if action else "PATCH"

    foreign = gateway.beta.request(method, path_of(made, action), json={})
    unknown = gateway.alpha.request(method, path_of({"id": made["id"][::-1]}, action), json={})
    no_id = gateway.alpha.request(method, path_of({"id": "x"}, action), json={})

    assert [foreign.status_code, unknown.status_code, no_id.status_code] == [404, 404, 404]
