"""Memory, connections and waking of 2,000 callers that wait on one process while another one moves their tasks.

Half of them hold a long poll, half a stream of server-sent events. Good is at most 120 MiB of resident memory for all
of them, no database connection while nothing happens, and each woken within a second of the callback that ends its
task, which comes in at another process; the second counts from the moment at which the callback is sent.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import orjson

from bench.callbacks import SEED, TASK_ID_BASE
from bench.proc import resident_bytes
from bench.report import Figure, show
from bench.stack import running_stack
from service.upstream.receive_url import receive_url
from tests.support.gateway import ALPHA_KEY, CALLBACK_SECRET, Gateway
from tests.support.waiting import eventually_async

MIB = 1024 * 1024
WAITERS = 2000
WARM_UP = 50
LIMIT_MIB = 120
LIMIT_S = 1.0
CALLBACKS_AT_ONCE = 4
OPENED_AT_ONCE = 100
OPEN_WITHIN_S = 40.0
WOKEN_WITHIN_S = 30.0
READ_BYTES = 65_536
OK = 200

# A stream tells of the task's past first; only its end is waited for.
END = re.compile(rb'event: task\.succeeded|"state" ?: ?"succeeded"')


@dataclass(frozen=True, slots=True)
class Idle:
    """What the waiting process holds while nothing happens."""

    added_bytes: int
    database_connections: float


def main() -> int:
    """Open all waiters, look at the process, then end every task through the other process."""
    with running_stack() as stack, stack.gateway("api") as waiting, stack.gateway("api") as changing:
        stack.database.execute(SEED, 1, WAITERS + WARM_UP)
        stack.database.execute("VACUUM ANALYZE tasks")
        idle, woken_s = asyncio.run(_wait_and_wake(waiting, changing))
    return show(
        Figure(f"{WAITERS} waiters: memory added", idle.added_bytes / MIB, " MiB", at_most=LIMIT_MIB),
        Figure("database connections held while they wait", idle.database_connections, at_most=0),
        Figure("waiters woken", len(woken_s), at_least=WAITERS),
        Figure("from the callback to the waiter, half of them", median(woken_s), " s"),
        Figure("from the callback to the waiter, the slowest", max(woken_s), " s", at_most=LIMIT_S),
    )


async def _wait_and_wake(waiting: Gateway, changing: Gateway) -> tuple[Idle, list[float]]:
    numbers = range(1, WAITERS + 1)
    async with aiohttp.ClientSession() as session:
        await _warm_up(session, waiting, changing)
        before_bytes = resident_bytes(waiting.program.pid)
        room = asyncio.Semaphore(OPENED_AT_ONCE)
        waiters = [asyncio.create_task(_woken_at_s(waiting.url, number, room)) for number in numbers]
        await eventually_async(
            lambda: _all_wait(session, waiting), timeout_s=OPEN_WITHIN_S, what=f"{WAITERS} callers wait"
        )
        idle = Idle(
            resident_bytes(waiting.program.pid) - before_bytes,
            await _gauge(session, waiting, "gateway_database_connections_in_use"),
        )
        sent_at_s = await _end_all(session, changing, numbers)
        woken_at_s = await asyncio.wait_for(asyncio.gather(*waiters), WOKEN_WITHIN_S)
    return idle, [woken - sent_at_s[number] for number, woken in zip(numbers, woken_at_s, strict=True)]


async def _warm_up(session: aiohttp.ClientSession, waiting: Gateway, changing: Gateway) -> None:
    """What a process needs once, whoever waits, is not counted."""
    numbers, room = range(WAITERS + 1, WAITERS + WARM_UP + 1), asyncio.Semaphore(OPENED_AT_ONCE)
    waiters = [asyncio.create_task(_woken_at_s(waiting.url, number, room)) for number in numbers]
    await _end_all(session, changing, numbers)
    await asyncio.wait_for(asyncio.gather(*waiters), WOKEN_WITHIN_S)


async def _woken_at_s(url: str, number: int, room: asyncio.Semaphore) -> float:
    """Wait for the task's end on a connection of its own, the odd ones by a stream; when it was heard of."""
    parts = urlsplit(url)
    path = f"/api/v1/tasks/{_task_id(number)}" + ("/events" if number % 2 else "?wait=60")
    async with room:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {ALPHA_KEY}\r\n\r\n".encode()
        )
        await writer.drain()
    try:
        heard = b""
        while not END.search(heard):
            chunk = await reader.read(READ_BYTES)
            assert chunk, f"the waiter of task {number} was let go after {heard!r}"
            heard += chunk
        return time.perf_counter()
    finally:
        writer.close()


async def _end_all(session: aiohttp.ClientSession, changing: Gateway, numbers: Sequence[int]) -> dict[int, float]:
    """Report every task as done; when each report was sent."""
    sent_at_s: dict[int, float] = {}
    left = iter(numbers)
    await asyncio.gather(*(_end_some(session, changing, left, sent_at_s) for _ in range(CALLBACKS_AT_ONCE)))
    return sent_at_s


async def _end_some(
    session: aiohttp.ClientSession, changing: Gateway, left: Iterator[int], sent_at_s: dict[int, float]
) -> None:
    for number in left:
        url = receive_url(changing.url, _task_id(number), 1, [CALLBACK_SECRET.encode()])
        sent_at_s[number] = time.perf_counter()
        async with session.post(url, data=_body(number)) as answer:
            assert answer.status == OK, answer.status


async def _all_wait(session: aiohttp.ClientSession, waiting: Gateway) -> bool:
    return await _gauge(session, waiting, "gateway_waiters") == WAITERS


async def _gauge(session: aiohttp.ClientSession, gateway: Gateway, name: str) -> float:
    async with session.get(f"{gateway.url}/metrics") as answer:
        found = re.search(rf"^{name} (\S+)$", await answer.text(), re.MULTILINE)
    assert found, f"no metric {name}"
    return float(found[1])


def _task_id(number: int) -> UUID:
    return UUID(f"{TASK_ID_BASE}{number:012x}")


def _body(number: int) -> bytes:
    image = {"id": "img_1", "imageUrl": "https://images.example/1.png", "mimeType": "image/png"}
    task = {"id": f"upstream-{number}", "type": "imagen2", "status": "done", "progress": 100, "credit_cost": 980}
    return orjson.dumps(task | {"metadata": {"result_images": [image]}})
