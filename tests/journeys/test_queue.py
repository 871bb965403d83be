"""When no slot is free a task waits, with all that it needs, and is sent in its turn."""

import hashlib
import time

from tests.journeys.orders import create, create_with_assets, ended, event_types, in_state, order, picture
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

ONE_SLOT = {"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "1"}


def test_a_task_waits_for_a_slot_and_is_sent_with_its_assets(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(ONE_SLOT)
    sandbox.moods({"duration_s": 1.0})
    assets = [picture(size_bytes=300_000), picture("red")]

    first = create(gateway.alpha)
    second = create_with_assets(gateway.alpha, assets).json()
    done = ended(gateway.alpha, second["id"])

    assert (first["state"], second["state"], done["state"]) == ("processing", "queued", "succeeded")
    sent = sandbox.ledger()["creates"][1]
    assert [asset["sha256"] for asset in sent["assets"]] == [hashlib.sha256(asset).hexdigest() for asset in assets]
    assert event_types(gateway, second["id"]) == ["task.queued", "task.processing", "task.succeeded"]
    assert sandbox.ledger()["highest_open"] == 1


def test_what_was_queued_survives_the_death_of_every_process(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    # The first task's callback may come while nobody listens: asking soon frees its slot.
    gateway = start_gateway(ONE_SLOT | {"GATEWAY_RECONCILE_QUIET_S": "0.5"})
    sandbox.moods({"duration_s": 2.0})
    create(gateway.alpha)
    task = create_with_assets(gateway.alpha, [picture()]).json()

    gateway.program.kill()
    gateway.start_again()

    assert task["state"] == "queued"
    assert ended(gateway.alpha, task["id"])["state"] == "succeeded"
    assert len(sandbox.ledger()["creates"]) == 2


def test_the_upstreams_own_cap_corrects_our_view_and_fails_nothing(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"active_task_cap": 1, "duration_s": 0.5})

    tasks = [create(gateway.alpha) for _ in range(3)]

    assert {ended(gateway.alpha, task["id"])["state"] for task in tasks} == {"succeeded"}
    assert sandbox.ledger()["highest_open"] == 1


def test_a_provably_untaken_request_is_queued_and_sent_again(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"create_error": {"next": 1, "status": 429, "shape": "message", "message": "slow down"}})

    task = create_with_assets(gateway.alpha, [picture()]).json()
    done = ended(gateway.alpha, task["id"])

    assert (task["state"], done["state"], done["attempt"]) == ("queued", "succeeded", 2)
    assert len(sandbox.ledger()["creates"]) == 1


def test_while_the_upstream_refuses_connections_tasks_wait(gateway: Gateway, sandbox: Sandbox) -> None:
    gateway.alpha.get("/api/v1/models").raise_for_status()
    sandbox.api.post("/_sandbox/refuse", json={"for_s": 1.5}).raise_for_status()

    task = create(gateway.alpha)

    assert task["state"] == "queued"
    assert ended(gateway.alpha, task["id"])["state"] == "succeeded"


def test_who_came_first_is_sent_first(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(ONE_SLOT)
    sandbox.moods({"duration_s": 0.2})

    tasks = [create(gateway.alpha, prompt=f"number {number}") for number in range(5)]
    for task in tasks:
        ended(gateway.alpha, task["id"])

    assert [sent["prompt"] for sent in sandbox.ledger()["creates"]] == [f"number {number}" for number in range(5)]


def test_who_waits_sees_its_place(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(ONE_SLOT)
    sandbox.moods({"duration_s": 3600})
    create(gateway.alpha)
    waiting = [create(client)["id"] for client in (gateway.alpha, gateway.alpha, gateway.beta)]

    clients = (gateway.alpha, gateway.alpha, gateway.beta)
    places = [c.get(f"/api/v1/tasks/{task_id}").json()["queue"] for c, task_id in zip(clients, waiting, strict=True)]

    # Beta has nothing open, so it is next although it came last.
    assert [place["position"] for place in places] == [2, 3, 1]
    assert all(place["estimated_start_s"] > 0 for place in places)


def test_a_full_queue_says_when_to_come_back_and_stores_nothing(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(ONE_SLOT | {"GATEWAY_QUEUE_MAX_TASKS_PER_CLIENT": "2"})
    sandbox.moods({"duration_s": 3600})
    for _ in range(3):
        create(gateway.alpha)

    refused = gateway.alpha.post("/api/v1/tasks", json=order())
    other = gateway.beta.post("/api/v1/tasks", json=order())

    assert (refused.status_code, refused.json()["code"]) == (429, "limit_reached")
    assert int(refused.headers["retry-after"]) >= 1
    assert other.status_code == 202
    assert gateway.database.value("SELECT count(*) FROM tasks") == 4


def test_held_dispatch_sends_nothing_until_it_is_let_go(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    held = start_gateway({"GATEWAY_DISPATCH": "false"})
    task = create(held.alpha)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 1, what="a second in which it could have been sent")
    sent_while_held = len(sandbox.ledger()["creates"])

    start_gateway()

    assert (task["state"], sent_while_held) == ("queued", 0)
    assert ended(held.alpha, task["id"])["state"] == "succeeded"


def test_without_a_cap_no_lock_is_taken_and_nothing_waits(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_UPSTREAM_MAX_ACTIVE_TASKS": "0"})
    sandbox.moods({"active_task_cap": 0, "duration_s": 3600})

    states = {create(gateway.alpha)["state"] for _ in range(25)}

    assert states == {"processing"}
    assert gateway.database.value("SELECT count(*) FROM accounts") in (0, 1)


def test_a_dead_key_pauses_sending_and_fails_nothing(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway()
    gateway.alpha.get("/api/v1/models").raise_for_status()
    sandbox.moods({"throttle_401": {"next": 8}})

    task = create(gateway.alpha)
    paused = "SELECT pause_reason FROM accounts WHERE paused_until > now() + interval '30 s'"
    eventually(lambda: gateway.database.value(paused) == "unauthorized_throttle", timeout_s=20, what="a long pause")
    gateway.database.execute("UPDATE accounts SET paused_until = NULL")
    sandbox.moods({"throttle_401": {"next": 0}})

    assert task["state"] == "queued"
    assert in_state(gateway, task["id"], "succeeded")["attempt"] > 4
