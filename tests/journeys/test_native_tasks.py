"""Asking for images and following the task: JSON and forms, versions, waiting."""

import asyncio
import time

import httpx
import pytest

from tests.journeys.native_orders import TASKS, created, ended, form, order, picture
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually_async


def test_a_json_request_becomes_a_task_that_succeeds(gateway: Gateway) -> None:
    answer = gateway.alpha.post(TASKS, json=order(client_reference="order-1", metadata={"shelf": ["A", 3]}))

    assert answer.status_code == 202, answer.text
    task = answer.json()
    assert answer.headers["Location"] == f"{TASKS}/{task['id']}"
    assert (task["client_reference"], task["metadata"]) == ("order-1", {"shelf": ["A", 3]})
    done = ended(gateway.alpha, task["id"])
    assert done["state"] == "succeeded"
    assert done["credits"] == task["estimated_credits"]
    assert done["images"][0]["mime_type"] == "image/png"


@pytest.mark.parametrize("count", [1, 10])
def test_files_go_along_in_their_order(gateway: Gateway, sandbox: Sandbox, count: int) -> None:
    assets = [picture(width=16 + number) for number in range(count)]

    answer = gateway.alpha.post(TASKS, files=form(assets, {"model_parameters": '{"aspect_ratio": "1:1"}'}))

    assert answer.status_code == 202, answer.text
    assert [asset["filename"] for asset in answer.json()["assets"]] == [f"{n}.png" for n in range(1, count + 1)]
    assert answer.json()["model_parameters"] == {"aspect_ratio": "1:1"}
    assert len(sandbox.ledger()["creates"]) == 1
    assert ended(gateway.alpha, answer.json()["id"])["state"] == "succeeded"


def test_a_form_carries_every_field_that_json_does(gateway: Gateway) -> None:
    fields = {
        "generations_count": "2",
        "metadata": '{"a": 1}',
        "client_reference": "r",
        "callback_url": "http://127.0.0.1:9/hook",
    }

    answer = gateway.alpha.post(TASKS, files=form([], fields))

    assert answer.status_code == 202, answer.text
    task = answer.json()
    assert (task["generations_count"], task["metadata"], task["client_reference"]) == (2, {"a": 1}, "r")
    assert task["callback"]["secret"].startswith("whsec_")


def test_the_secret_of_a_callback_is_shown_once_however_its_address_is_spelled(gateway: Gateway) -> None:
    urls = ("http://127.0.0.1:9/hook", "HTTP://127.0.0.1:0009/hook")

    first, second = (created(gateway.alpha, callback_url=url)["callback"] for url in urls)

    assert first["subscription_id"] == second["subscription_id"]
    assert (first["secret"] is not None, second["secret"]) == (True, None)


def test_a_client_who_waits_hears_of_the_end_when_it_comes(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 0.5})
    task = created(gateway.alpha)
    began = time.monotonic()

    answer = gateway.alpha.get(f"{TASKS}/{task['id']}", params={"wait": 30})

    assert answer.json()["state"] == "succeeded"
    assert time.monotonic() - began < 10
    assert "Retry-After" not in answer.headers


def test_a_wait_that_is_over_shows_the_task_as_it_stands(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 60})
    task = created(gateway.alpha)

    answer = gateway.alpha.get(f"{TASKS}/{task['id']}", params={"wait": 0.3})

    assert (answer.status_code, answer.json()["state"]) == (200, "processing")
    assert int(answer.headers["Retry-After"]) >= 1


def test_prefer_wait_answers_200_with_the_finished_task(gateway: Gateway) -> None:
    answer = gateway.alpha.post(TASKS, json=order(), headers={"Prefer": "respond-async, wait=20"})

    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=20"


def test_who_holds_the_version_gets_304_and_who_waits_too_gets_the_next_one(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 1})
    task = created(gateway.alpha)
    path, held = f"{TASKS}/{task['id']}", {"If-None-Match": f'"{task["version"]}"'}

    at_once = gateway.alpha.get(path, headers=held)
    waited = gateway.alpha.get(path, headers=held, params={"wait": 30})

    assert (at_once.status_code, at_once.content) == (304, b"")
    assert waited.status_code == 200
    assert waited.json()["version"] > task["version"]


def test_etag_is_the_version_and_the_bytes_are_the_same_everywhere(gateway: Gateway) -> None:
    task = ended(gateway.alpha, created(gateway.alpha)["id"])

    shown = gateway.alpha.get(f"{TASKS}/{task['id']}")
    listed = gateway.alpha.get(TASKS)

    assert shown.headers["ETag"] == f'"{task["version"]}"'
    assert shown.content in listed.content


def test_a_task_is_found_under_its_id_only(gateway: Gateway) -> None:
    answers: list[httpx.Response] = [
        gateway.alpha.get(f"{TASKS}/{each}") for each in ("nonsense", "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f", "%00")
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_a_full_spool_is_a_503_that_stores_nothing(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway({"GATEWAY_SPOOL_MAX_BYTES": str(1024 * 1024)})

    answer = gateway.alpha.post(TASKS, files=form([picture() + b"\0" * 1_200_000]))

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert sandbox.ledger()["creates"] == []


async def test_when_too_many_wait_a_paid_task_is_still_a_202(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 60})
    gateway = start_gateway({"GATEWAY_WAIT_MAX_WAITERS": "1"})

    async with gateway.async_client() as client, asyncio.TaskGroup() as group:
        first = (await client.post(TASKS, json=order())).json()
        waiting = group.create_task(client.get(f"{TASKS}/{first['id']}", params={"wait": 60}))
        await eventually_async(lambda: _waits(client), what="the first caller waits")

        polled = await client.get(f"{TASKS}/{first['id']}", params={"wait": 5})
        paid = await client.post(TASKS, json=order(), headers={"Prefer": "wait=5"})
        waiting.cancel()

    assert (polled.status_code, polled.json()["code"]) == (429, "limit_reached")
    assert (paid.status_code, paid.json()["state"]) == (202, "processing")


async def _waits(client: httpx.AsyncClient) -> bool:
    return "gateway_waiters 1.0" in (await client.get("/metrics")).text
