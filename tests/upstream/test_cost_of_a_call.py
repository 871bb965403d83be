"""A call costs the same whether few or many are under way, and a large upload does not grow the process."""

import asyncio
import time
import tracemalloc

import pytest

from service.upstream.client import CreateRequest
from service.upstream.outcome import Accepted
from tests.upstream.builders import make_request, open_client, soon
from tests.upstream.raw_server import Connection, answering, raw_server

pytestmark = pytest.mark.anyio

FOX = CreateRequest("a fox", "m", 1)
CREATED = {"success": True, "task_id": "t", "credits": 1}
CALLS = 320


async def cpu_per_call_s(url: str, in_flight: int, paid: bool) -> float:
    """Client and server together, which the ratio of two such measures cancels out."""
    async with open_client(url, upstream_max_connections=in_flight) as client:

        async def caller() -> None:
            for _ in range(CALLS // in_flight):
                await (client.create(FOX, soon()) if paid else client.credits())

        await asyncio.gather(*[caller() for _ in range(in_flight)])
        started = time.process_time()
        await asyncio.gather(*[caller() for _ in range(in_flight)])
        return (time.process_time() - started) / CALLS


@pytest.mark.parametrize("paid", [False, True], ids=["a free call", "a paid call"])
async def test_the_cost_of_a_call_does_not_grow_with_the_calls_in_flight(paid: bool) -> None:
    async with raw_server(answering(200, CREATED)) as server:
        few = min([await cpu_per_call_s(server.url, 4, paid) for _ in range(2)])
        many = min([await cpu_per_call_s(server.url, 64, paid) for _ in range(2)])

    assert many < 2 * few


async def test_a_large_upload_is_sent_in_bounded_memory() -> None:
    async def count(connection: Connection) -> None:
        await connection.read_head()
        left = int(connection.header("content-length") or 0)
        while left:
            left -= len(await connection.reader.read(65_536))
        await connection.answer(200, b'{"success": true, "task_id": "t"}')

    with make_request(*[bytes(5_000_000)] * 10) as request:
        async with raw_server(count) as server, open_client(server.url) as client:
            tracemalloc.start()
            try:
                outcome = await client.create(request, soon())
                peak_bytes = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert outcome == Accepted("t")
    assert peak_bytes < 2_000_000
