"""Commit to receipt at 200 events a second, and the same while somebody holds a snapshot open for a minute.

Beside it, in the same run and at the same rate: a bare POST of the same bytes to the same receiver, and the wake-up
alone, from a NOTIFY to a bare listener's hearing it. Good is a p99 of at most ten times the bare POST's p50, and one
wake-up. The snapshot is a REPEATABLE READ transaction that has read something: what leaves the table stays in its
indexes for as long, and a claim that always began at the oldest entry would wade through more with every second.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import uvloop

from bench.delivery_parts import (
    BODY,
    Port,
    clear,
    emit_steadily,
    latencies_s,
    quantile,
    start_receiver,
    subscribe,
)
from bench.report import Figure, show
from bench.stack import Stack, running_stack

SUBSCRIPTIONS = 100
EVENTS_PER_S = 200
USUAL_S, SNAPSHOT_S, PART_S = 20, 60, 20
POSTS = WAKE_UPS = 1000
POST_P50_TIMES = 10


def main() -> int:
    """The bare parts, then the worker without and with a snapshot held open."""
    with running_stack() as stack:
        port = start_receiver(stack.programs)
        clear(stack.database)
        subscribe(stack.database, port.hook, 1, SUBSCRIPTIONS)
        with stack.gateway("worker"):
            uvloop.run(_measure(stack, port, 3))
            usual = uvloop.run(_measure(stack, port, USUAL_S))
            posts = uvloop.run(_bare_posts(port))
            wake_ups = uvloop.run(_wake_ups(stack))
            *_, held = uvloop.run(_with_snapshot(stack, port))
            again = uvloop.run(_measure(stack, port, USUAL_S))
    limit_ms = (POST_P50_TIMES * quantile(posts, 0.5) + quantile(wake_ups, 0.5)) * 1000
    return show(
        Figure("bare POST, p50", quantile(posts, 0.5) * 1000, " ms"),
        Figure("NOTIFY to a listener, p50", quantile(wake_ups, 0.5) * 1000, " ms"),
        Figure("NOTIFY to a listener, p99", quantile(wake_ups, 0.99) * 1000, " ms"),
        Figure(f"commit to receipt at {EVENTS_PER_S}/s, p50", quantile(usual, 0.5) * 1000, " ms"),
        Figure(f"commit to receipt at {EVENTS_PER_S}/s, p99", quantile(usual, 0.99) * 1000, " ms", at_most=limit_ms),
        Figure(f"p50, last {PART_S} s of a snapshot held {SNAPSHOT_S} s", quantile(held, 0.5) * 1000, " ms"),
        Figure(f"p99, last {PART_S} s of a snapshot held {SNAPSHOT_S} s", quantile(held, 0.99) * 1000, " ms"),
        Figure("p99 after it", quantile(again, 0.99) * 1000, " ms"),
    )


async def _measure(stack: Stack, port: Port, for_s: float) -> list[float]:
    return await latencies_s(port, await emit_steadily(stack, SUBSCRIPTIONS, EVENTS_PER_S, for_s))


async def _with_snapshot(stack: Stack, port: Port) -> list[list[float]]:
    """The latencies of each part of the minute."""
    async with _snapshot(stack):
        return [await _measure(stack, port, PART_S) for _ in range(SNAPSHOT_S // PART_S)]


@asynccontextmanager
async def _snapshot(stack: Stack) -> AsyncIterator[None]:
    connection = await asyncpg.connect(stack.database.url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("SELECT count(*) FROM deliveries")
            yield
    finally:
        await connection.close()


async def _bare_posts(port: Port) -> list[float]:
    """Seconds from the call to its answer, sorted."""
    took_s = []
    async with aiohttp.ClientSession() as session:
        for number in range(POSTS):
            began_s = time.monotonic()
            async with session.post(port.hook, data=BODY, headers={"webhook-id": f"evt_{number}"}) as answer:
                await answer.read()
            took_s.append(time.monotonic() - began_s)
            await asyncio.sleep(max(0.0, began_s + 1 / EVENTS_PER_S - time.monotonic()))
    await port.arrivals()
    return sorted(took_s)


async def _wake_ups(stack: Stack) -> list[float]:
    """Seconds from a NOTIFY to its being heard on another connection, sorted."""
    listener = await asyncpg.connect(stack.database.url)
    notifier = await asyncpg.connect(stack.database.url)
    heard: asyncio.Queue[float] = asyncio.Queue()
    await listener.add_listener("bench", lambda *_: heard.put_nowait(time.monotonic()))
    took_s = []
    for _ in range(WAKE_UPS):
        began_s = time.monotonic()
        await notifier.execute("SELECT pg_notify('bench', '')")
        took_s.append(await heard.get() - began_s)
        await asyncio.sleep(max(0.0, began_s + 1 / EVENTS_PER_S - time.monotonic()))
    await listener.close()
    await notifier.close()
    return sorted(took_s)
