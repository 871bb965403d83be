"""The process is killed (-9) or told to stop at the worst moments around the paid call."""

import threading
import time

import httpx

from tests.journeys.orders import create, ended, order
from tests.support.gateway import StartGateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually


def test_killed_between_acceptance_and_storing_the_answer_the_callback_alone_settles_the_task(
    start_gateway: StartGateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    gateway = start_gateway()
    gateway.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status()
    sandbox.moods({"answer_delay_s": 30, "callbacks": "held", "duration_s": 0})
    asking = threading.Thread(target=_ask_and_be_cut_off, args=(gateway.alpha,))
    asking.start()
    eventually(lambda: sandbox.ledger()["creates"], what="the upstream has accepted and charged")

    gateway.program.kill()
    asking.join()
    gateway.start_again()
    [task] = gateway.alpha.get("/api/v1/tasks").json()["items"]
    sandbox.moods({"answer_delay_s": 0})
    eventually(lambda: sandbox.api.post("/_sandbox/callbacks/release").json()["released"], what="a held callback")
    done = ended(gateway.alpha, task["id"])

    assert task["state"] == "submitting"
    assert (done["state"], done["upstream_task_id"]) == ("succeeded", sandbox.ledger()["creates"][0]["task_id"])
    assert len(sandbox.ledger()["creates"]) == 1
    assert len(receiver.wait_for(1)) == 1


def test_a_delivery_outlives_the_process_that_made_it(
    start_gateway: StartGateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    api = start_gateway(role="api")
    api.alpha.post("/api/v1/subscriptions", json={"url": receiver.url}).raise_for_status()
    task = ended(api.alpha, create(api.alpha)["id"])
    api.program.kill()

    start_gateway(role="worker")

    [notification] = receiver.wait_for(1)
    assert task["id"].encode() in notification.body


def test_a_client_that_hangs_up_does_not_cancel_a_paid_call(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway()
    sandbox.moods({"answer_delay_s": 1.0, "callbacks": "off"})
    gateway.alpha.get("/api/v1/models")

    with httpx.Client(base_url=gateway.url, headers=gateway.alpha.headers, timeout=0.4) as hasty:
        _ask_and_be_cut_off(hasty)
    [task] = eventually(lambda: gateway.alpha.get("/api/v1/tasks", params={"state": "processing"}).json()["items"])

    assert task["upstream_task_id"] == sandbox.ledger()["creates"][0]["task_id"]


def test_sigterm_answers_waiters_at_once_and_ends_the_process(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway()
    sandbox.moods({"duration_s": 3600})
    task = create(gateway.alpha)
    answers: list[httpx.Response] = []
    path = f"/api/v1/tasks/{task['id']}"
    waiting = threading.Thread(target=lambda: answers.append(gateway.alpha.get(path, params={"wait": 60})))
    waiting.start()
    eventually(lambda: "gateway_waiters 1.0" in gateway.anonymous.get("/metrics").text, what="a waiter")

    began = time.monotonic()
    gateway.program.stop()
    waiting.join()

    assert time.monotonic() - began < 10
    assert [answer.json()["state"] for answer in answers] == ["processing"]


def test_sigterm_lets_a_paid_call_end_and_stores_its_outcome(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway()
    sandbox.moods({"answer_delay_s": 1.5, "callbacks": "off"})
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(gateway.alpha.post("/api/v1/tasks", json=order())))
    asking.start()
    eventually(lambda: sandbox.ledger()["creates"], what="the upstream has accepted")

    gateway.program.stop()
    asking.join()

    assert [answer.status_code for answer in answers] == [202]
    assert gateway.database.value("SELECT state FROM tasks") == "processing"


def _ask_and_be_cut_off(client: httpx.Client) -> None:
    try:
        client.post("/api/v1/tasks", json=order())
    except httpx.TransportError:
        return
