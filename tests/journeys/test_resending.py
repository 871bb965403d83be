"""Sending an event again: under the same webhook-id, at once, and never beside one that is still undone."""

import httpx
import pytest

from tests.journeys.after_the_fact import DELIVERIES, happened, ids, over, shown, waiting
from tests.journeys.orders import create, ended
from tests.journeys.subscribers import path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


def resend(client: httpx.Client, delivery_id: str) -> httpx.Response:
    return client.post(f"{DELIVERIES}/{delivery_id}/resend")


def test_what_was_delivered_comes_again_under_the_same_webhook_id(gateway: Gateway, receiver: Receiver) -> None:
    subscribe(gateway.alpha, receiver.url)
    ended(gateway.alpha, create(gateway.alpha)["id"])
    [before] = eventually(lambda: ids(gateway.alpha, state="delivered"), what="the delivery is stored as delivered")

    answer = resend(gateway.alpha, before)

    first, second = receiver.wait_for(2)
    assert answer.status_code == 202, answer.text
    assert answer.json()["id"] != before
    assert answer.headers["Location"] == f"{DELIVERIES}/{answer.json()['id']}"
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_what_is_dead_comes_again(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    [event] = happened(gateway.database)
    [dead] = over(gateway.database, [event], subscription, state="dead")

    resend(gateway.alpha, dead).raise_for_status()

    assert receiver.wait_for(1)[0].headers["webhook-id"] == shown(event)


def test_what_waits_comes_now_and_only_once(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    [undone] = waiting(gateway.database, happened(gateway.database), subscription)

    answer = resend(gateway.alpha, undone)

    receiver.wait_for(1)
    assert (answer.status_code, answer.json()["id"]) == (202, undone)
    assert eventually(lambda: ids(gateway.alpha, state="delivered")) == [undone]


def test_resent_twice_while_it_waits_it_is_one_delivery(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    gateway.alpha.patch(path_of(subscription), json={"state": "paused"}).raise_for_status()
    [done] = over(gateway.database, happened(gateway.database), subscription)

    answers = [resend(gateway.alpha, done).json() for _ in range(3)]

    assert {answer["state"] for answer in answers} == {"pending"}
    assert ids(gateway.alpha, state="pending") == [answers[0]["id"]]


@pytest.mark.parametrize(
    ("change", "code", "remedy"),
    [
        ("UPDATE subscriptions SET state = 'disabled', disabled_reason = 'gone'", "subscription_disabled", "active"),
        ("DELETE FROM subscriptions", "subscription_gone", "make a new one"),
        ("DELETE FROM events", "event_gone", "/api/v1/tasks"),
    ],
    ids=["to a disabled subscription", "to a deleted subscription", "after the event was dropped"],
)
def test_what_cannot_be_sent_again_says_what_to_do(
    gateway: Gateway, receiver: Receiver, change: str, code: str, remedy: str
) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    [done] = over(gateway.database, happened(gateway.database), subscription)
    gateway.database.execute(change)

    answer = resend(gateway.alpha, done)

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert remedy in answer.json()["detail"]
    assert receiver.received() == []
