"""The gateway passes pictures on, so that its clients need no way to where the image API keeps them."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.journeys.orders import create, ended, in_state
from tests.pictures import cdn
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.upstream.raw_server import raw_server

NO_TASK = "01a0bd29-8f2e-7cc3-98c4-dc0c0c07398f"
KEPT_ELSEWHERE = "UPDATE tasks SET images = jsonb_set(images, '{0,url}', to_jsonb($2::text)) WHERE id = $1"


def finished(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    task = ended(gateway.alpha, create(gateway.alpha, **fields)["id"])
    assert task["state"] == "succeeded", task
    return task


def image_path(task: dict[str, Any], number: int = 1, suffix: str = "") -> str:
    return f"/api/v1/tasks/{task['id']}/images/{number}{suffix}"


def kept_at(gateway: Gateway, url: str) -> str:
    """The path of a finished task's image that is kept at this URL."""
    task = finished(gateway)
    gateway.database.execute(KEPT_ELSEWHERE, task["id"], url)
    return image_path(task)


def test_images_and_previews_come_byte_for_byte(gateway: Gateway) -> None:
    task = finished(gateway, generations_count=2)

    for number, image in enumerate(task["images"], 1):
        for suffix, source in (("", image["url"]), ("/preview", image["preview_url"])):
            answer = gateway.alpha.get(image_path(task, number, suffix))

            original = httpx.get(source, trust_env=False)
            assert (answer.status_code, answer.content) == (200, original.content)
            assert answer.headers["Content-Length"] == original.headers["Content-Length"]
            assert answer.headers["Content-Type"] == "image/png"


def test_a_browser_may_show_the_picture_and_run_nothing_in_it(gateway: Gateway) -> None:
    task = finished(gateway)

    headers = gateway.alpha.get(image_path(task)).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Content-Disposition"] == f'inline; filename="{task["id"]}-1.png"'
    assert headers["Cache-Control"].startswith("private, max-age=")


def test_head_tells_type_and_size(gateway: Gateway) -> None:
    path = image_path(finished(gateway))
    whole = gateway.alpha.get(path)

    head = gateway.alpha.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Content-Disposition"):
        assert head.headers[name] == whole.headers[name]


def test_who_holds_the_picture_does_not_get_it_again(gateway: Gateway, sandbox: Sandbox) -> None:
    path = image_path(finished(gateway))
    etag = gateway.alpha.get(path).headers["ETag"]

    answer = gateway.alpha.get(path, headers={"If-None-Match": etag})

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/api/v1/tasks/{NO_TASK}/images/1", 404, "not_found"),
        ("/api/v1/tasks/none/images/1", 404, "not_found"),
        ("/api/v1/tasks/{id}/images/2", 404, "not_found"),
        ("/api/v1/tasks/{id}/images/2/preview", 404, "not_found"),
        ("/api/v1/tasks/{id}/images/0", 422, "invalid_request"),
        ("/api/v1/tasks/{id}/images/one", 422, "invalid_request"),
        ("/api/v1/tasks/{id}/images/1?size=small", 400, "unknown_field"),
    ],
    ids=["no task", "no id", "no second image", "no second preview", "number zero", "no number", "unknown parameter"],
)
def test_a_picture_that_there_is_not_is_a_clear_problem(gateway: Gateway, path: str, status: int, code: str) -> None:
    answer = gateway.alpha.get(path.format(id=finished(gateway)["id"]))

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_pictures_of_another_client_do_not_exist(gateway: Gateway) -> None:
    path = image_path(finished(gateway))

    assert gateway.beta.get(path).status_code == 404
    assert gateway.anonymous.get(path).status_code == 401


def test_before_the_end_there_are_no_pictures_yet(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"duration_s": 60})
    task = create(gateway.alpha)

    answer = gateway.alpha.get(image_path(task))

    assert (answer.status_code, answer.json()["code"]) == (409, "task_not_ended")


def test_a_task_that_failed_has_no_pictures(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.moods({"task_error": {"next": 1}})
    task = create(gateway.alpha)
    in_state(gateway, task["id"], "failed")

    assert gateway.alpha.get(image_path(task)).status_code == 404


@pytest.mark.parametrize("agent", ["python", "aiohttp", "httpx"])
def test_a_cdn_that_turns_libraries_away_does_not_turn_us_away(gateway: Gateway, sandbox: Sandbox, agent: str) -> None:
    sandbox.moods({"image_forbidden_agent": agent})

    assert gateway.alpha.get(image_path(finished(gateway))).status_code == 200


def test_what_the_cdn_refuses_is_its_fault_and_told(gateway: Gateway, sandbox: Sandbox) -> None:
    task = finished(gateway)
    sandbox.moods({"image_ttl_s": 0.001})

    answer = gateway.alpha.get(image_path(task))

    assert (answer.status_code, answer.json()["code"]) == (502, "image_unavailable")
    assert answer.json()["upstream_status"] == 403


async def test_a_cdn_that_hangs_is_a_504(start_gateway: StartGateway) -> None:
    short = {"GATEWAY_UPSTREAM_CONNECT_TIMEOUT_S": "0.2", "GATEWAY_UPSTREAM_READ_TIMEOUT_S": "0.4"}
    gateway = start_gateway(short)

    async with raw_server(cdn.silent) as server:
        path = kept_at(gateway, server.url)
        async with gateway.async_client() as client:
            answer = await client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (504, "image_timeout")


async def test_a_picture_that_breaks_off_is_not_taken_for_whole(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"GATEWAY_IMAGE_MAX_BYTES": "500000"})

    async with raw_server(cdn.endless) as server:
        path = kept_at(gateway, server.url)
        async with gateway.async_client() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(path)

    assert "picture_cut" in gateway.program.log()
    assert "request_failed" not in gateway.program.log()


async def test_large_pictures_pass_through_without_being_held(start_gateway: StartGateway) -> None:
    size_bytes, at_once = 40 * 1024**2, 8
    gateway = start_gateway()

    async with raw_server(cdn.large(size_bytes)) as server, gateway.async_client() as client:
        path = kept_at(gateway, server.url)
        await received_bytes(client, path)
        before_kib = peak_memory_kib(gateway)
        received = await asyncio.gather(*(received_bytes(client, path) for _ in range(at_once)))

    assert received == [size_bytes] * at_once
    # Of 320 MiB that went through, some buffers at most.
    assert peak_memory_kib(gateway) - before_kib < 16 * 1024


async def received_bytes(client: httpx.AsyncClient, path: str) -> int:
    async with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        return sum([len(chunk) async for chunk in answer.aiter_raw()])


def peak_memory_kib(gateway: Gateway) -> int:
    with open(f"/proc/{gateway.program.pid}/status") as status:  # noqa: PTH123 - no file on a disk
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
