"""Subscriptions: made with a secret that is shown once, listed, deleted, and never another client's."""

import pytest

from tests.journeys.orders import create
from tests.support.gateway import Gateway, StartGateway

PATH = "/api/v1/subscriptions"
URL = "http://127.0.0.1:9/hook"


def test_a_subscription_shows_its_secret_once(gateway: Gateway) -> None:
    made = gateway.alpha.post(PATH, json={"url": URL, "description": "the shop"})

    assert made.status_code == 201, made.text
    assert made.json()["secret"].startswith("whsec_")
    shown = gateway.alpha.get(made.headers["Location"])
    assert shown.status_code == 200
    assert shown.json() == {name: value for name, value in made.json().items() if name != "secret"}


def test_by_default_it_gets_every_end_of_a_task(gateway: Gateway) -> None:
    made = gateway.alpha.post(PATH, json={"url": URL}).json()

    assert made["event_types"] == ["task.succeeded", "task.failed", "task.canceled", "task.result_late"]
    assert (made["state"], made["inline"]) == ("active", False)


def test_a_subscription_shows_what_was_asked_of_it_and_how_it_fares(gateway: Gateway) -> None:
    asked = {
        "url": URL,
        "event_types": ["task.failed", "task.queued", "task.failed"],
        "filter": {"model_id": ["a", "b"], "client_reference": ["order 7"], "metadata": {"shop": {"id": 3}}},
        "format": "standard",
        "description": "the shop",
        "timeout_s": 2.5,
        "max_in_flight": 32,
        "rate_per_s": 0.5,
    }

    made = gateway.alpha.post(PATH, json=asked).json()

    assert {name: made[name] for name in asked} == {**asked, "event_types": ["task.failed", "task.queued"]}
    assert {name: made[name] for name in made if name not in asked} == {
        "id": made["id"],
        "secret": made["secret"],
        "inline": False,
        "state": "active",
        "disabled_reason": None,
        "failures_in_row": 0,
        "failing_since": None,
        "rests_until": None,
        "rotating_until": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }


@pytest.mark.parametrize(
    "empty", [None, {}, {"model_id": None}, {"metadata": {}}], ids=["none", "no members", "null", "empty object"]
)
def test_a_filter_that_lets_all_through_is_none(gateway: Gateway, empty: object) -> None:
    assert gateway.alpha.post(PATH, json={"url": URL, "filter": empty}).json()["filter"] is None


def test_in_the_image_apis_form_only_its_ends_are_told(gateway: Gateway) -> None:
    made = gateway.alpha.post(PATH, json={"url": URL, "format": "upstream"}).json()

    assert (made["format"], made["event_types"]) == ("upstream", ["task.succeeded", "task.failed", "task.canceled"])


def test_a_list_can_be_narrowed_to_a_state(gateway: Gateway) -> None:
    active, paused = (gateway.alpha.post(PATH, json={"url": URL}).json()["id"] for _ in range(2))
    gateway.alpha.patch(f"{PATH}/{paused}", json={"state": "paused"}).raise_for_status()

    found = {
        state: [each["id"] for each in gateway.alpha.get(PATH, params={"state": state}).json()["items"]]
        for state in ("active", "paused", "disabled")
    }

    assert found == {"active": [active], "paused": [paused], "disabled": []}
    assert gateway.alpha.get(PATH, params={"state": "asleep"}).status_code == 422


def test_a_client_has_room_for_so_many_subscriptions_of_its_own(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"GATEWAY_SUBSCRIPTIONS_MAX_PER_CLIENT": "2"})
    create(gateway.alpha, callback_url=URL)  # one of a callback URL, which does not count
    made = [gateway.alpha.post(PATH, json={"url": URL}) for _ in range(2)]

    refused = gateway.alpha.post(PATH, json={"url": URL})
    of_another = gateway.beta.post(PATH, json={"url": URL})
    gateway.alpha.delete(made[0].headers["Location"]).raise_for_status()
    again = gateway.alpha.post(PATH, json={"url": URL})

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_subscriptions")
    assert (of_another.status_code, again.status_code) == (201, 201)


def test_subscriptions_are_listed_page_by_page(gateway: Gateway) -> None:
    ids = [gateway.alpha.post(PATH, json={"url": f"{URL}/{n}"}).json()["id"] for n in range(3)]

    first = gateway.alpha.get(PATH, params={"limit": 2}).json()
    second = gateway.alpha.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    assert "whsec_" not in str([first, second])


def test_a_deleted_subscription_is_gone(gateway: Gateway) -> None:
    path = gateway.alpha.post(PATH, json={"url": URL}).headers["Location"]

    answers = [gateway.alpha.delete(path), gateway.alpha.get(path), gateway.alpha.delete(path)]

    assert [answer.status_code for answer in answers] == [204, 404, 404]


def test_anothers_subscription_can_be_neither_seen_nor_deleted(gateway: Gateway) -> None:
    path = gateway.alpha.post(PATH, json={"url": URL}).headers["Location"]

    foreign = [gateway.beta.get(path).status_code, gateway.beta.delete(path).status_code]

    assert foreign == [404, 404]
    assert gateway.beta.get(PATH).json()["items"] == []
    assert gateway.alpha.get(path).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "url"),
        ({"url": "ftp://127.0.0.1/x"}, 422, "url"),
        ({"url": "http://169.254.169.254/latest"}, 422, "url"),
        ({"url": "http://8.8.8.8/"}, 422, "url"),
        ({"url": "http://127.0.0.1:9/\x00"}, 422, "url"),
        ({"url": 7}, 422, "url"),
        ({"url": URL, "event_types": []}, 422, "event_types"),
        ({"url": URL, "event_types": ["task.exploded"]}, 422, "event_types.0"),
        ({"url": URL, "description": "x" * 501}, 422, "description"),
        ({"url": URL, "description": None}, 422, "description"),
        ({"url": URL, "format": "cloudevents"}, 422, "format"),
        ({"url": URL, "format": "upstream", "event_types": ["task.failed", "task.queued"]}, 422, "event_types.1"),
        ({"url": URL, "timeout_s": 0.5}, 422, "timeout_s"),
        ({"url": URL, "timeout_s": 31}, 422, "timeout_s"),
        ({"url": URL, "max_in_flight": 0}, 422, "max_in_flight"),
        ({"url": URL, "max_in_flight": 33}, 422, "max_in_flight"),
        ({"url": URL, "max_in_flight": 1.5}, 422, "max_in_flight"),
        ({"url": URL, "rate_per_s": 0}, 422, "rate_per_s"),
        ({"url": URL, "rate_per_s": "fast"}, 422, "rate_per_s"),
        ({"url": URL, "filter": []}, 422, "filter"),
        ({"url": URL, "filter": {"model": ["x"]}}, 400, "filter.model"),
        ({"url": URL, "filter": {"model_id": "x"}}, 422, "filter.model_id"),
        ({"url": URL, "filter": {"model_id": []}}, 422, "filter.model_id"),
        ({"url": URL, "filter": {"client_reference": ["x" * 201]}}, 422, "filter.client_reference.0"),
        ({"url": URL, "filter": {"metadata": {"a": "\x00"}}}, 422, "filter.metadata"),
        ({"url": URL, "filter": {"metadata": {"a": "x" * 17_000}}}, 422, "filter.metadata"),
        ({"url": URL, "state": "paused"}, 400, "state"),
        ({"url": URL, "secret": "whsec_mine"}, 400, "secret"),
        ({"url": URL, "events": ["task.failed"]}, 400, "events"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(gateway: Gateway, body: dict[str, object], status: int, field: str) -> None:
    answer = gateway.alpha.post(PATH, json=body)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert "whsec_mine" not in answer.text
