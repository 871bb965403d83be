"""With GATEWAY_IMAGE_URLS=gateway every surface shows image URLs of ours, which need no key and expire."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.orders import create, ended, events_of
from tests.support.gateway import Gateway, StartGateway
from tests.support.processes import Programs
from tests.support.receiver import Receiver
from tests.support.sandbox import Sandbox

SIGNED = {"GATEWAY_IMAGE_URLS": "gateway"}


def finished(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    task = ended(gateway.alpha, create(gateway.alpha, **fields)["id"])
    assert task["state"] == "succeeded", task
    return task


def sources(gateway: Gateway) -> list[dict[str, str]]:
    """Where the pictures really are."""
    return list(json.loads(gateway.database.value("SELECT image_sources FROM tasks")))


def anonymously(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def test_a_signed_url_shows_the_picture_to_whoever_holds_it(start_gateway: StartGateway) -> None:
    gateway = start_gateway(SIGNED)

    task = finished(gateway, generations_count=2)

    for image, source in zip(task["images"], sources(gateway), strict=True):
        for name in ("url", "preview_url"):
            assert image[name].startswith(f"{gateway.url}/api/v1/tasks/{task['id']}/images/")
            assert anonymously(image[name]).content == anonymously(source[name]).content


def test_every_surface_and_event_shows_our_urls_and_never_the_image_apis(
    start_gateway: StartGateway, sandbox: Sandbox, receiver: Receiver
) -> None:
    gateway = start_gateway(SIGNED)
    task = finished(gateway, callback_url=receiver.url)
    shown = {
        "native": gateway.alpha.get(f"/api/v1/tasks/{task['id']}").text,
        "native list": gateway.alpha.get("/api/v1/tasks").text,
        "native event stream": gateway.alpha.get(f"/api/v1/tasks/{task['id']}/events").text,
        "event": json.dumps(events_of(gateway, task["id"])),
        "notification": receiver.wait_for(1)[0].body.decode(),
        "drop-in": gateway.alpha.get(f"/v1/task/{task['id']}").text,
        "drop-in, v3": gateway.alpha.get(f"/v3/task/{task['id']}").text,
        "drop-in list": gateway.alpha.get("/v1/tasks").text,
    }

    url = task["images"][0]["url"]

    assert [name for name, text in shown.items() if url not in text] == []
    assert [name for name, text in shown.items() if f"{sandbox.url}/images" in text] == []
    assert [name for name, text in shown.items() if "source" in text] == []


@pytest.mark.parametrize(
    "forge",
    [
        lambda url: url.replace("signature=", "signature=A"),
        lambda url: url.replace("/images/1", "/images/2"),
        lambda url: url.replace("/images/1", "/images/1/preview"),
        lambda url: url.replace("expires=1", "expires=2"),
        lambda url: url.replace("expires=", "expired="),
        lambda url: url.partition("&expires")[0].replace("expires=", "signature="),
    ],
    ids=["signature", "number", "preview", "end", "no end", "no signature"],
)
def test_a_forged_url_shows_nothing(start_gateway: StartGateway, forge: Any) -> None:
    gateway = start_gateway(SIGNED)
    url = finished(gateway, generations_count=2)["images"][0]["url"]

    answer = anonymously(forge(url))

    assert answer.status_code in {400, 403}
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_expired_url_is_a_403_and_the_key_still_opens_its_path(start_gateway: StartGateway) -> None:
    gateway = start_gateway(SIGNED | {"GATEWAY_IMAGE_URL_LIFE_S": "0.001"})
    url = finished(gateway)["images"][0]["url"]
    expires_at_s = int(urlsplit(url).query.partition("&")[0].partition("=")[2])

    answer = anonymously(url)

    assert expires_at_s <= time.time()
    assert (answer.status_code, answer.json()["code"]) == (403, "image_url_refused")
    assert gateway.alpha.get(url).status_code == 200
    assert gateway.alpha.get(url.partition("?")[0]).status_code == 200


def test_a_url_outlives_the_rotation_of_the_secret(start_gateway: StartGateway) -> None:
    url = finished(start_gateway(SIGNED))["images"][0]["url"]
    rotated = start_gateway({"GATEWAY_CALLBACK_SECRETS": "a-new-secret-0123456789,callback-secret-0123456789abcdef"})

    parts = urlsplit(url)

    assert rotated.anonymous.get(f"{parts.path}?{parts.query}").status_code == 200


def test_without_the_setting_tasks_show_the_image_apis_urls(gateway: Gateway, sandbox: Sandbox) -> None:
    task = finished(gateway)

    assert task["images"][0]["url"].startswith(sandbox.url)
    assert gateway.database.value("SELECT image_sources FROM tasks") is None


def test_signed_urls_without_a_public_address_are_refused_at_start(programs: Programs) -> None:
    program = programs.start("api", ["service", "api"], SIGNED)

    assert program.wait() == 2
    assert "GATEWAY_IMAGE_URLS=gateway needs GATEWAY_PUBLIC_URL" in program.log()


def test_the_openai_surface_shows_our_urls_too(start_gateway: StartGateway, sandbox: Sandbox) -> None:
    gateway = start_gateway(SIGNED)
    order = {"model": "bytedance-seedream-4.5", "prompt": "a cat", "response_format": "url"}

    answer = gateway.alpha.post("/openai/v1/images/generations", json=order).raise_for_status()

    url = answer.json()["data"][0]["url"]
    assert url.startswith(f"{gateway.url}/api/v1/tasks/")
    assert anonymously(url).headers["Content-Type"] == "image/png"
    assert sandbox.url not in answer.text
