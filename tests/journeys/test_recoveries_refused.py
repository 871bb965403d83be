"""Recoveries that are refused: one at a time, for its own client, to a subscription that is there, within bounds."""

from uuid import uuid4

import pytest

from tests.journeys.recoveries import done, hold, recover
from tests.journeys.subscribers import path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Receiver


def test_recoveries_are_listed_and_one_runs_at_a_time(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    first = done(gateway.alpha, recover(gateway.alpha, subscription))
    hold(gateway, recover(gateway.alpha, subscription))

    third = recover(gateway.alpha, subscription)

    listed = gateway.alpha.get(path_of(subscription, "recoveries"), params={"limit": 1}).json()
    rest = gateway.alpha.get(path_of(subscription, "recoveries"), params={"cursor": listed["next_cursor"]}).json()
    assert (third.status_code, third.json()["code"]) == (409, "recovery_running")
    assert [item["state"] for item in listed["items"]] == ["running"]
    assert (rest["items"], rest["next_cursor"]) == ([first], None)


def test_a_recovery_that_is_done_cannot_be_canceled(gateway: Gateway, receiver: Receiver) -> None:
    started = recover(gateway.alpha, subscribe(gateway.alpha, receiver.url))
    done(gateway.alpha, started)

    answer = gateway.alpha.post(f"{started.headers['Location']}/cancel")

    assert (answer.status_code, answer.json()["code"]) == (409, "recovery_ended")


def test_a_disabled_subscription_must_be_active_first(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    gateway.database.execute("UPDATE subscriptions SET state = 'disabled', disabled_reason = 'failing'")

    refused = recover(gateway.alpha, subscription)
    gateway.alpha.patch(path_of(subscription), json={"state": "active"}).raise_for_status()

    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_disabled")
    assert recover(gateway.alpha, subscription).status_code == 202


def test_nobody_recovers_or_sees_anothers_subscription(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    started = hold(gateway, recover(gateway.alpha, subscription))
    one, all_of_them = started.headers["Location"], path_of(subscription, "recoveries")

    foreign = [
        recover(gateway.beta, subscription),
        recover(gateway.beta, subscription, dry_run=True),
        gateway.beta.get(all_of_them),
        gateway.beta.get(one),
        gateway.beta.post(f"{one}/cancel"),
        gateway.alpha.get(f"{all_of_them}/{uuid4()}"),
    ]

    assert [answer.status_code for answer in foreign] == [404] * len(foreign)
    assert gateway.alpha.get(one).json()["state"] == "running"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "since"),
        ({"since": "yesterday"}, 422, "since"),
        ({"since": 1795339800}, 422, "since"),
        ({"since": "2026-11-22T09:00:00"}, 422, "since"),
        ({"since": "2222-11-22T09:00:00Z"}, 422, "since"),
        ({"since": "2026-11-22T09:00:00Z", "until": "2026-11-21T09:00:00Z"}, 422, "until"),
        ({"since": "2026-11-22T09:00:00Z", "only_failed": "yes"}, 422, "only_failed"),
        ({"since": "2026-11-22T09:00:00Z", "from": 1}, 400, "from"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(
    gateway: Gateway, receiver: Receiver, body: dict[str, object], status: int, field: str
) -> None:
    answer = gateway.alpha.post(path_of(subscribe(gateway.alpha, receiver.url), "recover"), json=body)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]
