"""A subscription can be tried out: a signed ping now, and the whole exchange told, however the receiver behaves."""

import json

import pytest

from tests.journeys.subscribers import fits, path_of, subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually

URL = "http://127.0.0.1:9/hook"


def test_a_ping_arrives_signed_and_the_exchange_is_told_as_it_was(gateway: Gateway, receiver: Receiver) -> None:
    receiver.answer(Answer(200, body="schön".encode()))
    made = subscribe(gateway.alpha, receiver.url)

    answer = gateway.alpha.post(path_of(made, "test"))

    told = answer.json()
    [received] = receiver.received()
    assert answer.status_code == 200
    assert fits(made["secret"], received)
    assert (told["delivered"], told["status"], told["answer"]) == (True, 200, "schön")
    assert (told["error_class"], told["error"]) == (None, None)
    assert told["duration_ms"] >= 0
    assert told["request"]["url"] == receiver.url
    assert told["request"]["body"].encode() == received.body
    assert told["request"]["headers"].items() <= received.headers.items()
    assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= told["request"]["headers"].keys()
    ping = json.loads(received.body)
    assert (ping["type"], ping["data"]) == ("ping", {"subscription_id": made["id"]})
    assert made["secret"] not in answer.text + gateway.program.log()


def test_during_a_rotation_a_ping_carries_both_signatures(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    rotated = gateway.alpha.post(path_of(made, "rotate-secret"), json={}).json()

    gateway.alpha.post(path_of(made, "test")).raise_for_status()

    [received] = receiver.received()
    assert fits(made["secret"], received)
    assert fits(rotated["secret"], received)


@pytest.mark.parametrize(
    ("behaviour", "status", "error_class", "text"),
    [
        (Answer(500, body=b"broken"), 500, "http", "broken"),
        (Answer(410), 410, "http", ""),
        (Answer(302, {"Location": "http://127.0.0.1:9/elsewhere"}), 302, "http", ""),
        (Answer(200, body=b"\xff\x00x" * 3000), 200, None, "�\x00x" * 1365 + "�"),
        (Answer(ending="hang"), None, "timeout", ""),
        (Answer(ending="close"), None, "http", ""),
    ],
    ids=["refuses", "is gone", "redirects", "answers at length", "hangs", "hangs up"],
)
def test_whatever_the_receiver_does_is_told_and_changes_nothing(
    gateway: Gateway, receiver: Receiver, behaviour: Answer, status: int | None, error_class: str | None, text: str
) -> None:
    receiver.answer(then=behaviour)
    made = subscribe(gateway.alpha, receiver.url, timeout_s=1)
    before = gateway.alpha.get(path_of(made)).json()

    told = gateway.alpha.post(path_of(made, "test")).json()

    assert (told["status"], told["error_class"], told["answer"]) == (status, error_class, text)
    assert told["delivered"] == (error_class is None) == (told["error"] is None)
    assert len(receiver.received()) == 1
    assert gateway.alpha.get(path_of(made)).json() == before
    assert gateway.database.value("SELECT count(*) FROM events") == 0
    assert gateway.database.value("SELECT count(*) FROM delivery_attempts") == 0


def test_where_nobody_listens_the_stage_is_told(gateway: Gateway) -> None:
    told = gateway.alpha.post(path_of(subscribe(gateway.alpha, URL), "test")).json()

    assert (told["delivered"], told["status"], told["error_class"]) == (False, None, "connect")


def test_an_address_that_is_no_longer_allowed_is_not_called(gateway: Gateway, receiver: Receiver) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    gateway.database.execute("UPDATE subscriptions SET url = 'http://10.0.0.7/hook'")

    told = gateway.alpha.post(path_of(made, "test")).json()

    assert (told["delivered"], told["error_class"]) == (False, "guard")


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_one_that_gets_no_events_can_be_tried_out_before_it_is_resumed(
    gateway: Gateway, receiver: Receiver, state: str
) -> None:
    made = subscribe(gateway.alpha, receiver.url)
    gateway.database.execute("UPDATE subscriptions SET state = $1", state)

    told = gateway.alpha.post(path_of(made, "test")).json()

    assert told["delivered"]
    assert gateway.alpha.get(path_of(made)).json()["state"] == state


def test_pings_come_one_at_a_time_for_each_subscription(gateway: Gateway, receiver: Receiver) -> None:
    made, other = subscribe(gateway.alpha, receiver.url), subscribe(gateway.alpha, receiver.url)

    first, second, of_other = (gateway.alpha.post(path_of(each, "test")) for each in (made, made, other))

    assert (first.status_code, second.status_code, of_other.status_code) == (200, 429, 200)
    assert second.headers["Retry-After"] == "1"
    assert len(receiver.received()) == 2
    eventually(lambda: gateway.alpha.post(path_of(made, "test")).status_code == 200, what="the next may go")
