"""The library's own retries join the task that its first try made: whatever happens, it is paid for once."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import openai
import orjson
import pytest
from openai.types import ImagesResponse

from tests.journeys.native_orders import MODEL
from tests.openai.balancer import Balancer
from tests.openai.library import PROMPT, creates, generate, library, sent_pictures
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

ROUTE = "/openai/v1/images/generations"
SHORT_CAP = {"GATEWAY_OPENAI_WAIT_MAX_S": "0.6"}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def impatient(gateway: Gateway) -> openai.OpenAI:
    """A library that gives up after a second."""
    return library(gateway.url).with_options(timeout=1)


def wait_until_paid(sandbox: Sandbox, count: int = 1) -> None:
    eventually(lambda: creates(sandbox) >= count, what="the image API has accepted")


def finish_all(sandbox: Sandbox) -> None:
    for each in sandbox.ledger()["creates"]:
        sandbox.api.post(f"/_sandbox/tasks/{each['task_id']}/finish").raise_for_status()


def requests_for_images(gateway: Gateway, status: int) -> int:
    lines = [orjson.loads(line) for line in gateway.program.log_of_this_test().splitlines() if line.startswith("{")]
    return [(each.get("route"), each.get("status")) for each in lines].count((ROUTE, status))


def test_a_task_slower_than_the_cap_comes_with_a_retry(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(SHORT_CAP)
    sandbox.moods({"duration_s": 1.5})

    with library(gateway.url) as client:
        answer = generate(client)

    assert len(answer.data or []) == 1
    assert requests_for_images(gateway, 409) >= 1
    assert creates(sandbox) == 1


def test_pictures_that_are_sent_along_are_joined_too(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 1.5})

    with impatient(gateway) as client:
        answer = client.images.edit(model=MODEL, prompt=PROMPT, image=sent_pictures(2), response_format="url")

    assert len(answer.data or []) == 1
    assert creates(sandbox) == 1


def test_when_the_retries_are_used_up_the_error_says_where_the_task_is_and_the_next_request_joins_it(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway(SHORT_CAP)
    sandbox.moods({"duration_s": 60})

    with library(gateway.url) as client:
        with pytest.raises(openai.ConflictError) as caught:
            generate(client)
        [task] = gateway.alpha.get("/api/v1/tasks").json()["items"]
        finish_all(sandbox)
        answer = generate(client)

    assert f"GET /api/v1/tasks/{task['id']}" in str(caught.value)
    assert (answer.model_extra or {})["task_id"] == task["id"]
    assert requests_for_images(gateway, 409) == 3
    assert creates(sandbox) == 1


def test_a_client_that_is_less_patient_than_the_task_is_answered_before_it_gives_up(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods({"duration_s": 1.5})

    with impatient(gateway) as client:
        answer = generate(client)

    assert len(answer.data or []) == 1
    assert requests_for_images(gateway, 409) >= 1
    assert requests_for_images(gateway, 499) == 0
    assert creates(sandbox) == 1


def test_a_paid_call_slower_than_the_client_is_joined_while_it_runs(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"answer_delay_s": 1.5})

    with impatient(gateway) as client:
        answer = generate(client)

    assert len(answer.data or []) == 1
    assert creates(sandbox) == 1


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_gateway_that_ends_while_it_waits_is_joined_at_the_next_one(
    start_gateway: StartGateway, sandbox: Sandbox, pool: ThreadPoolExecutor, end: str
) -> None:
    sandbox.moods({"duration_s": 60})
    with Balancer() as balancer, library(balancer.url) as client:
        first, second = (start_gateway({"GATEWAY_PUBLIC_URL": balancer.url}) for _ in range(2))
        balancer.urls = [first.url, second.url]
        asking = pool.submit(generate, client)
        wait_until_paid(sandbox)

        getattr(first.program, end)()
        first.program.wait()
        finish_all(sandbox)
        answer: ImagesResponse = asking.result(timeout=60)

    assert len(answer.data or []) == 1
    assert creates(sandbox) == 1


def test_the_same_wish_at_the_same_time_is_as_many_pictures_as_it_is_wishes(
    gateway: Gateway, sandbox: Sandbox, pool: ThreadPoolExecutor
) -> None:
    sandbox.moods({"duration_s": 1.5})

    with impatient(gateway) as client:
        answers = [asking.result() for asking in [pool.submit(generate, client) for _ in range(6)]]

    assert len({(answer.model_extra or {})["task_id"] for answer in answers}) == 6
    assert creates(sandbox) == 6


def test_a_busy_upstream_that_drops_creates_after_accepting_them_is_not_felt(
    gateway: Gateway, sandbox: Sandbox, pool: ThreadPoolExecutor
) -> None:
    sandbox.moods({"busy_poll": {"rate": 0.33, "form": "mixed"}, "create_cut": {"rate": 0.1, "next": 2}})

    with library(gateway.url) as client:
        asked: list[Future[ImagesResponse]] = [
            pool.submit(generate, client, prompt=f"{PROMPT}, number {number}") for number in range(30)
        ]
        answers = [asking.result() for asking in asked]

    assert all(len(answer.data or []) == 1 for answer in answers)
    assert creates(sandbox) == 30
    assert {each["prompt"] for each in sandbox.ledger()["creates"]} == {f"{PROMPT}, number {n}" for n in range(30)}
