"""Deliveries after the fact: undone and done in one list, each attempt with its reason, and nobody else's."""

from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from tests.journeys.after_the_fact import DELIVERIES, happened, ids, over, shown, waiting
from tests.journeys.orders import create, ended
from tests.journeys.subscribers import subscribe
from tests.support.gateway import Gateway
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually

URL = "http://127.0.0.1:9/hook"


def test_a_delivery_shows_where_it_went_and_what_came_of_it(gateway: Gateway, receiver: Receiver) -> None:
    subscription = subscribe(gateway.alpha, receiver.url)
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    [received] = receiver.wait_for(1)

    [item] = eventually(lambda: delivered(gateway.alpha), what="the delivery is stored as delivered")

    assert gateway.alpha.get(f"{DELIVERIES}/{item['id']}").json() == item
    assert item["subscription_id"] == subscription["id"]
    assert (item["event_id"], item["task_id"]) == (received.headers["webhook-id"], task["id"])
    assert (item["event_type"], item["attempts"], item["next_attempt_at"]) == ("task.succeeded", 1, None)
    assert item["created_at"] <= item["ended_at"]


def test_each_attempt_tells_what_the_subscriber_answered(gateway: Gateway, receiver: Receiver) -> None:
    receiver.answer(Answer(500, body="no disk \N{FACE WITH TEARS OF JOY}".encode() + b"\xff" + b"x" * 9000))
    subscribe(gateway.alpha, receiver.url)
    ended(gateway.alpha, create(gateway.alpha)["id"])
    receiver.wait_for(2)
    [item] = eventually(lambda: delivered(gateway.alpha), what="the second attempt is stored")

    first, second = gateway.alpha.get(f"{DELIVERIES}/{item['id']}/attempts").json()["items"]

    assert (first["number"], first["status"], first["error_class"]) == (1, 500, "http")
    assert first["answer"].startswith("no disk \N{FACE WITH TEARS OF JOY}\N{REPLACEMENT CHARACTER}xxx")
    assert len(first["answer"]) <= 4096
    assert (second["number"], second["status"], second["error_class"], second["answer"]) == (2, 204, None, "")
    assert first["started_at"] < second["started_at"]
    assert first["duration_ms"] >= 0


def test_undone_and_done_are_one_list_and_the_newest_comes_first(gateway: Gateway) -> None:
    paused = subscribe(gateway.alpha, URL)
    made = {}
    for _ in range(3):
        made |= dict.fromkeys(over(gateway.database, happened(gateway.database), paused), "delivered")
        made |= dict.fromkeys(waiting(gateway.database, happened(gateway.database), paused), "pending")

    items = gateway.alpha.get(DELIVERIES).json()["items"]

    assert [item["id"] for item in items] == newest_first(*made)
    assert {item["id"]: item["state"] for item in items} == made
    assert [item["next_attempt_at"] is None for item in items] == [item["state"] == "delivered" for item in items]


def test_pages_follow_each_other_without_gap_or_repeat(gateway: Gateway) -> None:
    subscription = subscribe(gateway.alpha, URL)
    done = over(gateway.database, happened(gateway.database, 4), subscription)
    undone = waiting(gateway.database, happened(gateway.database, 3), subscription)

    pages, cursor = [], {}
    while True:
        page = gateway.alpha.get(DELIVERIES, params={"limit": 3, **cursor}).json()
        pages.append([item["id"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    made = newest_first(*done, *undone)
    assert pages == [made[:3], made[3:6], made[6:]]


def test_the_list_is_narrowed_by_everything_that_a_delivery_has(gateway: Gateway) -> None:
    one, other = subscribe(gateway.alpha, URL), subscribe(gateway.alpha, f"{URL}/other")
    task_id = uuid4()
    [good], [bad] = (
        happened(gateway.database, task_id=task_id),
        happened(gateway.database, kind="task.failed", task_id=uuid4()),
    )
    [first] = over(gateway.database, [good], one)
    between = datetime.now(UTC).isoformat()
    [second] = over(gateway.database, [bad], other, state="dead")
    [third] = waiting(gateway.database, [good], other)
    client = gateway.alpha

    assert ids(client, subscription_id=one["id"]) == [first]
    assert ids(client, subscription_id=other["id"]) == newest_first(third, second)
    assert ids(client, event_id=shown(good)) == newest_first(third, first)
    assert ids(client, task_id=str(task_id)) == newest_first(third, first)
    assert ids(client, event_type="task.failed") == [second]
    assert ids(client, state="delivered") == [first]
    assert ids(client, state="dead") == [second]
    assert ids(client, state="pending") == [third]
    assert ids(client, created_after=between) == newest_first(third, second)
    assert ids(client, created_before=between) == [first]
    assert ids(client, state="dead", subscription_id=one["id"]) == []


def test_nobody_sees_anothers_delivery(gateway: Gateway) -> None:
    subscription = subscribe(gateway.alpha, URL)
    [done] = over(gateway.database, happened(gateway.database), subscription)
    [undone] = waiting(gateway.database, happened(gateway.database), subscription)

    foreign = [
        gateway.beta.request(method, f"{DELIVERIES}/{delivery_id}{action}")
        for delivery_id in (done, undone)
        for method, action in (("GET", ""), ("GET", "/attempts"), ("POST", "/resend"))
    ]
    missing = gateway.beta.get(f"{DELIVERIES}/{uuid4()}")

    assert {answer.status_code for answer in foreign} == {404}
    assert {answer.json()["detail"] for answer in foreign} == {missing.json()["detail"]}
    assert ids(gateway.beta) == []
    assert ids(gateway.beta, subscription_id=subscription["id"]) == []


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({"status": "dead"}, 400, "status"),
        ({"state": "sending"}, 422, "state"),
        ({"subscription_id": "mine"}, 422, "subscription_id"),
        ({"event_id": "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"}, 422, "event_id"),
        ({"event_type": "ping"}, 422, "event_type"),
        ({"task_id": "\x00"}, 422, "task_id"),
        ({"limit": "101"}, 422, "limit"),
        ({"cursor": "nonsense"}, 422, "cursor"),
        ({"created_after": "today"}, 422, "created_after"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(gateway: Gateway, params: dict[str, str], status: int, field: str) -> None:
    answer = gateway.alpha.get(DELIVERIES, params=params)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


def newest_first(*delivery_ids: str) -> list[str]:
    return sorted(delivery_ids, reverse=True)


def delivered(client: httpx.Client) -> list[dict[str, object]]:
    return list(client.get(DELIVERIES, params={"state": "delivered"}).json()["items"])
