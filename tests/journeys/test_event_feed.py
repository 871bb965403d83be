"""The feed of events: all that happened to a client's tasks, oldest first, read on from a cursor or waited for."""

import threading
import time
from typing import Any

import httpx
import pytest

from service.subscribers.feed import LOOKED_AT
from tests.journeys.after_the_fact import EVENTS, happened, moment_after, shown, until_shown
from tests.journeys.orders import create, ended, events_of
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually


def read(client: httpx.Client, **params: Any) -> dict[str, Any]:
    answer = client.get(EVENTS, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def event_ids(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for item in answer["items"]]


def test_the_feed_tells_what_subscribers_would_have_got(gateway: Gateway, sandbox: Sandbox) -> None:
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    until_shown(gateway.database)

    items = read(gateway.alpha)["items"]

    told = [{name: value for name, value in item.items() if name != "id"} for item in items]
    assert told == events_of(gateway, task["id"])
    assert items[-1]["type"] == "task.succeeded"
    assert items[-1]["data"] == task


def test_pages_follow_each_other_oldest_first_without_gap_or_repeat(gateway: Gateway) -> None:
    events = happened(gateway.database, 7)

    pages, after = [], {}
    for _ in range(4):
        answer = read(gateway.alpha, limit=3, **after)
        pages.append(event_ids(answer))
        after = {"after": answer["next_cursor"]}

    told = [shown(event) for event in events]
    assert pages == [told[:3], told[3:6], told[6:], []]


def test_an_answer_without_items_still_tells_where_to_go_on(gateway: Gateway) -> None:
    empty = read(gateway.alpha)

    [event] = happened(gateway.database)

    assert empty["items"] == []
    assert event_ids(read(gateway.alpha, after=empty["next_cursor"])) == [shown(event)]


def test_after_now_leaves_out_what_there_is_already(gateway: Gateway) -> None:
    happened(gateway.database, 3)
    begun = read(gateway.alpha, after="now")

    [event] = happened(gateway.database)

    assert begun["items"] == []
    assert event_ids(read(gateway.alpha, after=begun["next_cursor"])) == [shown(event)]


def test_since_begins_with_a_time(gateway: Gateway) -> None:
    happened(gateway.database, 2)
    since = moment_after()
    events = happened(gateway.database, 2)

    first = read(gateway.alpha, since=since, limit=1)
    second = read(gateway.alpha, after=first["next_cursor"])

    assert event_ids(first) + event_ids(second) == [shown(event) for event in events]


def test_the_feed_is_narrowed_by_kind_and_by_task(gateway: Gateway) -> None:
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    [failed] = happened(gateway.database, kind="task.failed")
    happened(gateway.database)

    of_task = read(gateway.alpha, task_id=task["id"])["items"]

    assert {item["data"]["id"] for item in of_task} == {task["id"]}
    assert event_ids(read(gateway.alpha, type="task.failed")) == [shown(failed)]
    assert read(gateway.alpha, type="task.canceled")["items"] == []


def test_a_rare_event_is_found_behind_thousands_of_others(gateway: Gateway) -> None:
    for _ in range(2):
        happened(gateway.database, LOOKED_AT)
    [rare] = happened(gateway.database, kind="task.result_late")
    happened(gateway.database, 3)

    found = read(gateway.alpha, type="task.result_late")

    assert event_ids(found) == [shown(rare)]
    assert read(gateway.alpha, type="task.result_late", after=found["next_cursor"])["items"] == []


def test_nobody_sees_anothers_events(gateway: Gateway) -> None:
    happened(gateway.database, 3)
    [event] = happened(gateway.database, client="beta")

    assert event_ids(read(gateway.beta)) == [shown(event)]


def test_who_waits_is_answered_as_soon_as_something_happens(gateway: Gateway) -> None:
    waiting = Waiting(gateway.alpha, after=read(gateway.alpha)["next_cursor"])
    waiting.has_begun(gateway)

    task = create(gateway.alpha)

    answer = waiting.answer()
    assert {item["data"]["id"] for item in answer["items"]} == {task["id"]}


def test_who_waits_is_not_answered_by_what_happens_to_others(gateway: Gateway) -> None:
    waiting = Waiting(gateway.alpha, after=read(gateway.alpha)["next_cursor"], wait=2)
    waiting.has_begun(gateway)

    ended(gateway.beta, create(gateway.beta)["id"])

    answer = waiting.answer()
    assert answer["items"] == []
    assert waiting.took_s >= 1.9


def test_who_waits_for_one_kind_of_event_sleeps_through_the_others(gateway: Gateway) -> None:
    waiting = Waiting(gateway.alpha, after=read(gateway.alpha)["next_cursor"], type="task.result_late", wait=20)
    waiting.has_begun(gateway)
    ended(gateway.alpha, create(gateway.alpha)["id"])

    [late] = happened(gateway.database, kind="task.result_late")

    assert event_ids(waiting.answer()) == [shown(late)]


def test_too_many_who_wait_are_told_to_poll(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"GATEWAY_WAIT_MAX_WAITERS": "2"})
    waiting = [Waiting(gateway.alpha, wait=20) for _ in range(2)]
    eventually(lambda: waiters(gateway) == 2, what="both wait")

    refused = gateway.alpha.get(EVENTS, params={"wait": 20})
    happened(gateway.database)

    assert (refused.status_code, refused.json()["code"]) == (429, "limit_reached")
    assert [len(each.answer()["items"]) for each in waiting] == [1, 1]
    assert waiters(gateway) == 0


def test_many_who_wait_hold_no_database_connection(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"GATEWAY_DATABASE_POOL_SIZE": "3"})
    waiting = [Waiting(gateway.alpha) for _ in range(30)]
    eventually(lambda: waiters(gateway) == 30, what="all wait")

    ended(gateway.beta, create(gateway.beta)["id"])
    [event] = happened(gateway.database)

    assert {tuple(event_ids(each.answer())) for each in waiting} == {(shown(event),)}


def test_a_stop_answers_who_waits(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    waiting = Waiting(gateway.alpha, wait=60)
    waiting.has_begun(gateway)

    gateway.program.terminate()

    assert waiting.answer()["items"] == []
    assert waiting.took_s < 30


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({"before": "x"}, 400, "before"),
        ({"after": "nonsense"}, 422, "after"),
        ({"after": "A" * 53 + "B"}, 422, "after"),
        ({"after": "é\x00"}, 422, "after"),
        ({"after": "now", "since": "2026-11-22T09:00:00Z"}, 422, "since"),
        ({"since": "today"}, 422, "since"),
        ({"wait": "61"}, 422, "wait"),
        ({"type": "ping"}, 422, "type"),
        ({"task_id": "mine"}, 422, "task_id"),
        ({"limit": "0"}, 422, "limit"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(gateway: Gateway, params: dict[str, str], status: int, field: str) -> None:
    answer = gateway.alpha.get(EVENTS, params=params)

    assert answer.status_code == status, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


class Waiting:
    """A request that waits for events, in a thread."""

    def __init__(self, client: httpx.Client, **params: Any) -> None:
        self._client, self._params = client, {"wait": 20, **params}
        self._answers: list[dict[str, Any]] = []
        self.took_s = 0.0
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def has_begun(self, gateway: Gateway) -> None:
        eventually(lambda: waiters(gateway), what="it waits")

    def answer(self) -> dict[str, Any]:
        self._thread.join(60)
        return self._answers[0]

    def _ask(self) -> None:
        began_s = time.monotonic()
        answer = self._client.get(EVENTS, params=self._params)
        self.took_s = time.monotonic() - began_s
        self._answers.append(answer.raise_for_status().json())


def waiters(gateway: Gateway) -> int:
    [line] = [
        line for line in gateway.anonymous.get("/metrics").text.splitlines() if line.startswith("gateway_waiters ")
    ]
    return int(float(line.split()[1]))
