"""Subscriptions: made with a secret that is shown once, listed, deleted, and never another client's."""

import pytest

from tests.support.gateway import Gateway

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
