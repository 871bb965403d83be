"""The process is killed (-9) or told to stop at the worst moments around the paid call."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import httpx

from tests.failures.relay import Relay
from tests.journeys.orders import create, ended, order
from tests.support.gateway import Gateway, StartGateway
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

NOTHING: Mapping[str, str] = MappingProxyType({})
KEY = {"Idempotency-Key": "the-same-order"}
BLOCKED = "pg_backend_pid() = ANY(pg_blocking_pids(pid))"
# What a dead process held is looked after within seconds.
SOON = {
    "GATEWAY_SUBMIT_TOTAL_S": "3",
    "GATEWAY_SUBMIT_LEASE_MARGIN_S": "1",
    "GATEWAY_RECONCILE_QUIET_S": "1",
    "GATEWAY_UNKNOWN_SEARCH_FIRST_S": "0.3",
}


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


def test_killed_before_the_first_commit_nothing_is_left_and_the_same_request_is_sent_once(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SOON)
    with locked(gateway, "LOCK TABLE tasks IN SHARE MODE"), asking(gateway):
        wait_until_blocked(gateway)
        gateway.program.kill()
    left = gateway.database.value("SELECT count(*) FROM tasks") + sandbox.ledger()["creates_total"]
    gateway.start_again()

    done = ended(gateway.alpha, asked_again(gateway).json()["id"])

    assert (left, done["state"]) == (0, "succeeded")
    assert sandbox.ledger()["creates_total"] == 1


def test_killed_after_the_first_commit_and_before_the_call_the_task_fails_uncharged_and_is_not_sent(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    with Relay(sandbox.url) as relay:
        gateway = start_gateway(SOON | {"GATEWAY_UPSTREAM_URL": relay.url})
        gateway.alpha.get("/api/v1/models").raise_for_status()
        relay.shut()
        with asking(gateway):
            eventually(lambda: state_of_the_only_task(gateway) == "submitting", what="the first commit")
            gateway.program.kill()
    healer = start_gateway(SOON)

    again = asked_again(healer)
    done = ended(healer.alpha, again.json()["id"])

    assert again.headers["Idempotency-Replayed"] == "true"
    assert (done["state"], done["error"]["code"]) == ("failed", "submission_not_found")
    assert sandbox.ledger()["creates_total"] == 0


def test_killed_during_the_call_the_task_that_the_upstream_takes_afterwards_is_not_sent_again(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SOON)
    sandbox.moods({"accept_delay_s": 1.5})
    with asking(gateway):
        eventually(lambda: sandbox.ledger()["requests_by_endpoint"].get("create"), what="the call has begun")
        charged_before = sandbox.ledger()["creates_total"]
        gateway.program.kill()
    gateway.start_again()

    done = ended(gateway.alpha, asked_again(gateway).json()["id"])

    assert (charged_before, done["state"]) == (0, "succeeded")
    assert [create["task_id"] for create in sandbox.ledger()["creates"]] == [done["upstream_task_id"]]


def test_killed_before_the_second_commit_the_task_is_found_in_the_upstreams_list(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SOON)
    sandbox.moods({"answer_delay_s": 0.5, "callbacks": "off"})
    with asking(gateway):
        eventually(lambda: sandbox.ledger()["creates_total"], what="the upstream has accepted")
        with locked(gateway, "SELECT id FROM tasks FOR UPDATE"):
            wait_until_blocked(gateway)
            gateway.program.kill()
            # Postgres would carry out what it was told to by a process that is dead meanwhile.
            gateway.database.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {BLOCKED}")
    left = gateway.database.rows("SELECT state, upstream_task_id FROM tasks")
    gateway.start_again()

    done = ended(gateway.alpha, asked_again(gateway).json()["id"])

    assert left == [{"state": "submitting", "upstream_task_id": None}]
    assert done["state"] == "succeeded"
    assert [create["task_id"] for create in sandbox.ledger()["creates"]] == [done["upstream_task_id"]]


def test_killed_after_the_second_commit_the_caller_who_got_no_answer_joins_the_task(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SOON)
    sandbox.moods({"answer_delay_s": 0.5, "callbacks": "held"})
    gateway.alpha.get("/api/v1/models").raise_for_status()
    with httpx.Client(base_url=gateway.url, headers=gateway.alpha.headers, timeout=0.2) as hasty:
        _ask_and_be_cut_off(hasty, KEY)
    eventually(lambda: state_of_the_only_task(gateway) == "processing", what="the second commit")
    gateway.program.kill()
    gateway.start_again()

    again = asked_again(gateway)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert [create["task_id"] for create in sandbox.ledger()["creates"]] == [again.json()["upstream_task_id"]]


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


def state_of_the_only_task(gateway: Gateway) -> str | None:
    state: str | None = gateway.database.value("SELECT state FROM tasks")
    return state


def asked_again(gateway: Gateway) -> httpx.Response:
    """The answer to the same request with the same key."""
    answer = gateway.alpha.post("/api/v1/tasks", json=order(), headers=KEY)
    assert answer.status_code == 202, answer.text
    return answer


@contextmanager
def asking(gateway: Gateway) -> Iterator[None]:
    """A client that waits for its answer while the block runs, and gets none."""
    thread = threading.Thread(target=_ask_and_be_cut_off, args=(gateway.alpha, KEY))
    thread.start()
    yield
    thread.join()


@contextmanager
def locked(gateway: Gateway, statement: str) -> Iterator[None]:
    """What the statement locks stays locked while the block runs."""
    gateway.database.execute("BEGIN")
    gateway.database.execute(statement)
    try:
        yield
    finally:
        gateway.database.execute("ROLLBACK")


def wait_until_blocked(gateway: Gateway) -> None:
    """Until the gateway waits for a lock of ours."""
    waiting = f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE {BLOCKED})"
    eventually(lambda: gateway.database.value(waiting), what="the gateway waits for the lock")


def _ask_and_be_cut_off(client: httpx.Client, headers: Mapping[str, str] = NOTHING) -> None:
    try:
        client.post("/api/v1/tasks", json=order(), headers=headers)
    except httpx.TransportError:
        return
