"""Following a task: events as they come, resumed after a cut, over processes, with no connection held."""

import asyncio
import json
import time

import httpx
import pytest

from tests.journeys.event_streams import followed, read_events
from tests.journeys.orders import create, ended, order
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually, eventually_async

# Nothing is found by polling within a test's time: what is heard was told.
NO_POLLING = {"GATEWAY_POLL_FLOOR_S": "60", "GATEWAY_LISTEN": "true"}
STRANGER = "01890000-0000-7000-8000-000000000000"


def path_of(task_id: str) -> str:
    return f"/api/v1/tasks/{task_id}/events"


def finish(sandbox: Sandbox, upstream_task_id: str) -> None:
    sandbox.api.post(f"/_sandbox/tasks/{upstream_task_id}/finish").raise_for_status()


def waiters(gateway: Gateway) -> int:
    metrics = gateway.anonymous.get("/metrics").text
    return int(float(next(line for line in metrics.splitlines() if line.startswith("gateway_waiters ")).split()[1]))


def test_a_follower_gets_every_event_as_subscribers_do_and_then_the_stream_ends(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"duration_s": 0.5})
    task = create(gateway.alpha)

    events = followed(gateway.alpha, task["id"])

    assert [event.type for event in events] == ["task.processing", "task.succeeded"]
    stored = gateway.database.rows("SELECT id, body FROM events WHERE task_id = $1 ORDER BY id", task["id"])
    assert [(event.id, event.body) for event in events] == [(str(row["id"]), json.loads(row["body"])) for row in stored]


def test_who_comes_back_after_a_cut_gets_what_came_after_the_last_event(gateway: Gateway) -> None:
    task = ended(gateway.alpha, create(gateway.alpha)["id"])
    first, second = followed(gateway.alpha, task["id"])

    resumed = followed(gateway.alpha, task["id"], first.id)
    at_the_end = gateway.alpha.get(path_of(task["id"]), headers={"Last-Event-ID": second.id})

    assert [event.id for event in resumed] == [second.id]
    assert (at_the_end.status_code, at_the_end.content) == (204, b"")


@pytest.mark.parametrize("last_event_id", ["nonsense", STRANGER, "%00"])
def test_who_names_an_event_that_is_not_of_this_task_gets_all_of_them(gateway: Gateway, last_event_id: str) -> None:
    task = ended(gateway.alpha, create(gateway.alpha)["id"])

    assert len(followed(gateway.alpha, task["id"], last_event_id)) == 2


def test_a_late_result_reaches_who_comes_back_for_it(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha)
    gateway.database.execute("UPDATE tasks SET created_at = now() - interval '2 days', poll_at = now()")
    last = followed(gateway.alpha, task["id"])[-1]

    finish(sandbox, task["upstream_task_id"])
    late = eventually(
        lambda: gateway.database.value("SELECT count(*) FROM events WHERE type = 'task.result_late'"), what="it is late"
    )

    assert (last.type, late) == ("task.failed", 1)
    assert [event.type for event in followed(gateway.alpha, task["id"], last.id)] == ["task.result_late"]


@pytest.mark.parametrize("task_id", ["nonsense", STRANGER])
def test_there_is_nothing_to_follow_under_an_unknown_id(gateway: Gateway, task_id: str) -> None:
    assert gateway.alpha.get(path_of(task_id)).status_code == 404


def test_nobody_follows_the_task_of_another_client(gateway: Gateway) -> None:
    task = create(gateway.alpha)

    assert gateway.beta.get(path_of(task["id"])).status_code == 404


def test_a_quiet_stream_is_kept_open_by_comments(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_STREAM_QUIET_S": "0.1"})
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha)

    with gateway.alpha.stream("GET", path_of(task["id"])) as answer:
        lines = answer.iter_lines()
        comments = [line for line, _ in zip((line for line in lines if line.startswith(":")), range(3), strict=False)]
        finish(sandbox, task["upstream_task_id"])
        rest = list(read_events(lines))

    assert comments == [":", ":", ":"]
    assert [event.type for event in rest] == ["task.succeeded"]


async def test_followers_and_long_polls_of_another_process_are_woken_at_once_and_hold_no_connection(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"duration_s": 3600})
    submitting, watching = (start_gateway(NO_POLLING | {"GATEWAY_DATABASE_POOL_SIZE": "2"}) for _ in range(2))
    task = create(submitting.alpha)
    seen = {"If-None-Match": f'"{task["version"]}"'}

    async with watching.async_client() as client, asyncio.TaskGroup() as group:
        streams = [group.create_task(client.get(path_of(task["id"]))) for _ in range(20)]
        polls = [
            group.create_task(client.get(f"/api/v1/tasks/{task['id']}", params={"wait": 50}, headers=seen))
            for _ in range(20)
        ]
        await eventually_async(lambda: _count(client, "gateway_waiters 40.0"), what="forty wait")
        await eventually_async(lambda: _count(client, "gateway_database_connections_in_use 0.0"), what="none is held")
        began = time.monotonic()
        finish(sandbox, task["upstream_task_id"])
        answers = await asyncio.gather(*polls, *streams)
        took_s = time.monotonic() - began

    assert took_s < 5
    assert {answer.status_code for answer in answers} == {200}
    assert all("task.succeeded" in stream.result().text for stream in streams)
    assert {poll.result().json()["state"] for poll in polls} == {"succeeded"}


async def _count(client: httpx.AsyncClient, line: str) -> bool:
    return line in (await client.get("/metrics")).text


def test_a_follower_who_hangs_up_waits_no_more(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha)

    with gateway.alpha.stream("GET", path_of(task["id"])) as answer:
        events = read_events(answer.iter_lines())
        next(events)
        eventually(lambda: waiters(gateway) == 1, what="one waits")

    eventually(lambda: waiters(gateway) == 0, what="nobody waits")


def test_when_too_many_wait_a_further_follower_is_told_to_poll(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_WAIT_MAX_WAITERS": "1"})
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha)

    with gateway.alpha.stream("GET", path_of(task["id"])):
        eventually(lambda: waiters(gateway) == 1, what="one waits")
        refused = gateway.beta.get(path_of(task["id"])), gateway.alpha.get(path_of(task["id"]))

    assert [answer.status_code for answer in refused] == [404, 429]
    assert int(refused[1].headers["Retry-After"]) >= 1


def test_streams_end_at_once_when_the_process_is_told_to_stop(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway()
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha)

    with gateway.alpha.stream("GET", path_of(task["id"])) as answer:
        events = read_events(answer.iter_lines())
        first = next(events)
        eventually(lambda: waiters(gateway) == 1, what="one waits")
        began = time.monotonic()
        gateway.program.terminate()
        rest = list(events)
        took_s = time.monotonic() - began

    assert (first.type, rest) == ("task.processing", [])
    assert took_s < 5


def test_a_request_that_prefers_to_wait_is_answered_with_the_end(gateway: Gateway) -> None:
    answer = gateway.alpha.post("/api/v1/tasks", json=order(), headers={"Prefer": "wait=20"})

    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
