"""Large pictures go through in base64 without being held in memory, and without staying on the disk."""

import httpx

from tests.journeys.native_orders import MODEL, ended
from tests.openai.library import PROMPT, creates
from tests.pictures import cdn
from tests.support.gateway import Gateway, StartGateway
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually
from tests.upstream.raw_server import raw_server

GENERATIONS = "/openai/v1/images/generations"
SIZE_BYTES, COUNT = 20 * 1024**2, 4
ORDER = {"model": MODEL, "prompt": PROMPT, "n": COUNT, "response_format": "b64_json"}
LARGE_IMAGES = """
UPDATE tasks SET images = (SELECT jsonb_agg(image || jsonb_build_object('url', $1::text))
    FROM jsonb_array_elements(images) AS image)
"""


async def received_bytes(client: httpx.AsyncClient) -> int:
    async with client.stream("POST", GENERATIONS, json=ORDER) as answer:
        assert answer.status_code == 200
        received = sum([len(chunk) async for chunk in answer.aiter_raw()])
        assert received == int(answer.headers["content-length"])
        return received


def memory_kib(gateway: Gateway, what: str) -> int:
    with open(f"/proc/{gateway.program.pid}/status") as status:  # noqa: PTH123 - no file on a disk
        return next(int(line.split()[1]) for line in status if line.startswith(what))


def spooled_bytes(gateway: Gateway) -> float:
    lines = gateway.anonymous.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("gateway_spool_bytes"))


async def test_four_large_pictures_in_one_answer_are_never_in_memory(
    start_gateway: StartGateway, sandbox: Sandbox
) -> None:
    gateway = start_gateway()
    sandbox.moods({"duration_s": 1})
    waiting = gateway.alpha.post(GENERATIONS, json=ORDER, headers={"x-stainless-timeout": "0.5"})
    assert waiting.status_code == 409
    ended(gateway.alpha, waiting.json()["error"]["task_id"])

    async with raw_server(cdn.large(SIZE_BYTES)) as server, gateway.async_client() as client:
        gateway.database.execute(LARGE_IMAGES, f"{server.url}/picture.png")
        before_kib = memory_kib(gateway, "VmRSS")
        received = await received_bytes(client)

    assert received > COUNT * SIZE_BYTES * 4 // 3
    assert memory_kib(gateway, "VmHWM") - before_kib < 16 * 1024
    assert eventually(lambda: spooled_bytes(gateway) == 0, what="the disk is free again")
    assert creates(sandbox) == 1
