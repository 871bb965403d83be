"""Signing secrets: shown once, encrypted in the table, rotated with an overlap in which no signature check fails."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.journeys.orders import create, ended
from tests.journeys.rotations import rotate_under_way
from tests.journeys.subscribers import fits, path_of, subscribe
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Received, Receiver

URL = "http://127.0.0.1:9/hook"
OTHER_KEY = "another-key-0123456789abcdef0123456789abcdef"


def rotate(client: httpx.Client, subscription: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = client.post(path_of(subscription, "rotate-secret"), json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def notified(gateway: Gateway, receiver: Receiver) -> Received:
    """The notification about a task that has just ended."""
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    return receiver.wait_for(1, where=lambda each: task["id"].encode() in each.body)[0]


def test_no_secret_stands_in_the_table_or_in_a_log(gateway: Gateway) -> None:
    made = subscribe(gateway.alpha, URL)
    inline = create(gateway.alpha, callback_url=URL)["callback"]
    rotated = rotate(gateway.alpha, made)

    stored = gateway.database.rows("SELECT secret, previous_secret FROM subscriptions ORDER BY inline")

    secrets = [made["secret"], inline["secret"], rotated["secret"]]
    assert all(secret.startswith("whsec_") for secret in secrets)
    texts = [stored[0]["secret"], stored[0]["previous_secret"], stored[1]["secret"]]
    assert all(text.startswith("enc1.") for text in texts)
    assert not any(secret.removeprefix("whsec_") in str(stored) + gateway.program.log() for secret in secrets)


def test_both_secrets_of_a_callback_url_and_of_a_subscription_verify(gateway: Gateway, receiver: Receiver) -> None:
    own = subscribe(gateway.alpha, receiver.url)

    task = create(gateway.alpha, callback_url=receiver.url)
    ended(gateway.alpha, task["id"])

    received = receiver.wait_for(2)
    for secret in (own["secret"], task["callback"]["secret"]):
        assert [fits(secret, each) for each in received].count(True) == 1


def test_during_the_grace_either_secret_verifies(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)

    rotated = rotate(gateway.alpha, made, grace_s=3600)

    notification = notified(gateway, receiver)
    assert rotated["secret"] != made["secret"]
    assert fits(made["secret"], notification)
    assert fits(rotated["secret"], notification)
    ends_in = datetime.fromisoformat(rotated["rotating_until"]) - datetime.now(UTC)
    assert timedelta(seconds=3500) < ends_in < timedelta(seconds=3601)
    shown = gateway.alpha.get(path_of(made)).json()
    assert shown == {name: rotated[name] for name in rotated if name != "secret"}


def test_the_grace_is_a_day_unless_asked_otherwise(gateway: Gateway) -> None:
    rotated = rotate(gateway.alpha, subscribe(gateway.alpha, URL))

    ends_in = datetime.fromisoformat(rotated["rotating_until"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < ends_in < timedelta(hours=24, seconds=1)


def test_after_the_grace_only_the_new_secret_verifies(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    rotated = rotate(gateway.alpha, made, grace_s=3600)
    gateway.database.execute("UPDATE subscriptions SET previous_secret_until = now()")

    notification = notified(gateway, receiver)

    assert (fits(made["secret"], notification), fits(rotated["secret"], notification)) == (False, True)
    assert gateway.alpha.get(path_of(made)).json()["rotating_until"] is None


def test_without_a_grace_the_old_secret_ends_at_once(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    first = rotate(gateway.alpha, made)

    leaked = rotate(gateway.alpha, made, grace_s=0)

    notification = notified(gateway, receiver)
    assert [fits(each["secret"], notification) for each in (made, first, leaked)] == [False, False, True]
    assert leaked["rotating_until"] is None


def test_a_third_secret_needs_a_word_about_which_older_one_goes_on(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    first = rotate(gateway.alpha, made)

    refused = gateway.alpha.post(path_of(made, "rotate-secret"), json={})

    assert (refused.status_code, refused.json()["code"]) == (409, "rotation_under_way")
    assert "keep" in refused.json()["detail"]
    notification = notified(gateway, receiver)
    assert [fits(each["secret"], notification) for each in (made, first)] == [True, True]


@pytest.mark.parametrize(("keep", "verifies"), [("current", [False, True, True]), ("previous", [True, False, True])])
def test_two_secrets_sign_at_most_and_the_caller_says_which(
    gateway: Gateway, receiver: Receiver, keep: str, verifies: list[bool]
) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    first = rotate(gateway.alpha, made)

    second = rotate(gateway.alpha, made, keep=keep)

    notification = notified(gateway, receiver)
    assert [fits(each["secret"], notification) for each in (made, first, second)] == verifies
    assert len(notification.headers["webhook-signature"].split()) == 2


def test_no_check_fails_while_secrets_are_rotated_under_way(gateway: Gateway, receiver: Receiver) -> None:
    rotated = rotate_under_way(gateway, receiver, deliveries=400, rotations=3)

    assert len(rotated.event_ids()) == 400
    assert rotated.unverified() == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"grace_s": -1}, 422, "grace_s"),
        ({"grace_s": 604_801}, 422, "grace_s"),
        ({"grace_s": "1 day"}, 422, "grace_s"),
        ({"keep": "both"}, 422, "keep"),
        ({"secret": "whsec_mine"}, 400, "secret"),
    ],
    ids=str,
)
def test_a_wrong_rotation_is_named_and_changes_nothing(
    gateway: Gateway, body: dict[str, object], status: int, field: str
) -> None:
    made = subscribe(gateway.alpha, URL)
    before = gateway.database.rows("SELECT secret FROM subscriptions")

    answer = gateway.alpha.post(path_of(made, "rotate-secret"), json=body)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert "whsec_mine" not in answer.text
    assert gateway.database.rows("SELECT secret FROM subscriptions") == before


def test_a_secret_whose_key_is_lost_is_told_apart_and_can_be_rotated(
    start_gateway: StartGateway, receiver: Receiver
) -> None:
    made = subscribe(start_gateway().alpha, receiver.url)
    gateway = start_gateway({"GATEWAY_ENCRYPTION_KEYS": OTHER_KEY})

    refused = gateway.alpha.post(path_of(made, "test"))
    rotated = rotate(gateway.alpha, made)
    pinged = gateway.alpha.post(path_of(made, "test"))

    assert (refused.status_code, refused.json()["code"]) == (409, "secret_unreadable")
    assert (pinged.status_code, pinged.json()["delivered"]) == (200, True)
    assert rotated["rotating_until"] is None
    assert fits(rotated["secret"], receiver.received()[0])
