"""A drop-in request that comes again, at whichever process, pays again only if the first one was answered."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

CREATE = "/v1i/task/generate-image"
ORDER = {"prompt": "A cat on a roof", "model_id": "bytedance-seedream-4.5"}
UNANSWERED = "SELECT count(*) FROM unanswered_requests"
RELEASED = "SELECT count(*) FROM unanswered_requests WHERE waiter_until <= now()"
# What a dead process was sending is unknown after seconds.
SOON = {"GATEWAY_SUBMIT_TOTAL_S": "3", "GATEWAY_SUBMIT_LEASE_MARGIN_S": "1"}
DEAD_FOR_15_S = "UPDATE unanswered_requests SET waiter_until = now()"


def asked(gateway: Gateway) -> dict[str, Any]:
    answer = gateway.alpha.post(CREATE, json=ORDER)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@contextmanager
def asking(gateway: Gateway, timeout_s: float = 30.0) -> Iterator[None]:
    """A client that waits for its answer while the block runs, and gets none."""

    def ask() -> None:
        with httpx.Client(base_url=gateway.url, headers=gateway.alpha.headers, timeout=timeout_s) as client:
            try:
                client.post(CREATE, json=ORDER)
            except httpx.TransportError:
                return

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    thread.join()


def creates(sandbox: Sandbox) -> int:
    return int(sandbox.ledger()["creates_total"])


def test_killed_while_submitting_the_retry_at_another_process_joins_and_pays_nothing(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    dying, other = start_gateway(SOON, role="api"), start_gateway(SOON)
    sandbox.moods({"answer_delay_s": 5, "duration_s": 60})
    with asking(dying):
        eventually(lambda: creates(sandbox), what="the upstream has accepted and charged")
        dying.program.kill()
    sandbox.moods({"answer_delay_s": 0})
    with ThreadPoolExecutor(1) as pool:
        retry = pool.submit(asked, other)
        other.database.execute(DEAD_FOR_15_S)
        answer = retry.result()

    task_id = str(other.database.value("SELECT id FROM tasks"))

    assert (answer["task_id"], creates(sandbox)) == (task_id, 1)


def test_of_two_retries_at_two_processes_one_joins_and_one_is_a_second_wish(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    dying, others = start_gateway(SOON, role="api"), [start_gateway(SOON), start_gateway(SOON, role="api")]
    sandbox.moods({"answer_delay_s": 5, "duration_s": 60})
    with asking(dying):
        eventually(lambda: creates(sandbox), what="the upstream has accepted and charged")
        dying.program.kill()
    sandbox.moods({"answer_delay_s": 0})
    first = str(dying.database.value("SELECT id FROM tasks"))
    dying.database.execute(DEAD_FOR_15_S)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(asked, others))

    assert [answer["task_id"] for answer in answers].count(first) == 1
    assert creates(sandbox) == 2


def test_a_client_that_gives_up_and_retries_at_another_process_joins(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    here, there = start_gateway(), start_gateway(role="api")
    for gateway in (here, there):
        gateway.alpha.get("/v1i/models").raise_for_status()
    sandbox.moods({"answer_delay_s": 1.5, "duration_s": 60})
    with asking(here, timeout_s=0.5):
        eventually(lambda: creates(sandbox), what="the upstream has accepted and charged")

    answer = asked(there)

    assert (answer["task_id"], creates(sandbox)) == (str(here.database.value("SELECT id FROM tasks")), 1)


def test_a_process_that_is_told_to_stop_leaves_its_unanswered_requests_to_the_next(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    stopping, other = start_gateway(SOON | {"GATEWAY_DRAIN_TIMEOUT_S": "1"}, role="api"), start_gateway(SOON)
    sandbox.moods({"answer_delay_s": 6, "duration_s": 60})
    with asking(stopping):
        eventually(lambda: creates(sandbox), what="the upstream has accepted and charged")
        stopping.program.stop()
    released = other.database.value(RELEASED)
    sandbox.moods({"answer_delay_s": 0})

    answer = asked(other)

    assert released == 1
    assert (answer["task_id"], creates(sandbox)) == (str(other.database.value("SELECT id FROM tasks")), 1)


def test_answered_requests_leave_nothing_behind(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 60})
    gateway = start_gateway()

    with ThreadPoolExecutor(8) as pool:
        ids = {answer["task_id"] for answer in pool.map(asked, [gateway] * 40)}

    eventually(lambda: gateway.database.value(UNANSWERED) == 0, what="no row is left")
    assert (len(ids), gateway.database.value("SELECT count(*) FROM tasks")) == (40, 40)
