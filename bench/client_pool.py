"""CPU of one call to the image API at 8 and at 128 in flight, beside the default transport of httpx and plain aiohttp.

Good is flat: at 128 in flight a call of the gateway's client costs at most 1.25 times what it costs at 8. The default
transport of httpx, measured in the same run, shows what would happen without the one that we mount; plain aiohttp shows
what is left to gain.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from statistics import median

import aiohttp
import httpx
import uvloop

from bench.report import Figure, alternate, median_ratio, show
from bench.stack import running_stack
from service.settings import Settings
from service.upstream.client import UpstreamClient
from tests.support.gateway import auth
from tests.support.sandbox import API_KEY

FEW, MANY = 8, 128
ROUNDS = 5
CALLS = 1500
# The default transport needs milliseconds for each.
SLOW_CALLS = 400
FLAT_WITHIN = 1.25
PATH = "/v1/credits"

Call = Callable[[], Awaitable[object]]
Open = Callable[[AsyncExitStack], Awaitable[Call]]


def main() -> int:
    """Alternate the three clients, few and many in flight; every round opens its client anew and warms it up."""
    with running_stack() as stack:
        url = stack.sandbox.url
        clients: dict[str, tuple[Open, int]] = {
            "gateway": (partial(_gateway_client, url), CALLS),
            "httpx": (partial(_httpx_client, url), SLOW_CALLS),
            "aiohttp": (partial(_aiohttp_client, url), CALLS),
        }
        measures = {
            f"{name} {in_flight}": partial(_round, opened, calls, in_flight)
            for name, (opened, calls) in clients.items()
            for in_flight in (FEW, MANY)
        }
        return _report(alternate(ROUNDS, measures))


def _report(found: dict[str, list[float]]) -> int:
    def flatness(name: str) -> float:
        return median_ratio(found[f"{name} {MANY}"], found[f"{name} {FEW}"])

    many = {name: found[f"{name} {MANY}"] for name in ("gateway", "httpx", "aiohttp")}
    return show(
        Figure(f"CPU of a call, {FEW} in flight", median(found[f"gateway {FEW}"]) * 1000, " ms"),
        Figure(f"CPU of a call, {MANY} in flight", median(many["gateway"]) * 1000, " ms"),
        Figure(f"CPU at {MANY} ÷ at {FEW}", flatness("gateway"), "x", at_most=FLAT_WITHIN),
        Figure(f"CPU at {MANY} ÷ at {FEW}, default transport of httpx", flatness("httpx"), "x"),
        Figure(f"CPU at {MANY}, ours ÷ default transport of httpx", median_ratio(many["gateway"], many["httpx"]), "x"),
        Figure(f"CPU at {MANY}, ours ÷ plain aiohttp", median_ratio(many["gateway"], many["aiohttp"]), "x"),
    )


def _round(opened: Open, calls: int, in_flight: int) -> float:
    """CPU seconds of this process for each call."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_cpu_s_of_a_call(opened, calls, in_flight))


async def _cpu_s_of_a_call(opened: Open, calls: int, in_flight: int) -> float:
    async with AsyncExitStack() as resources:
        call = await opened(resources)
        await _spread(call, in_flight, in_flight)
        before_s = time.process_time()
        await _spread(call, calls, in_flight)
        return (time.process_time() - before_s) / calls


async def _spread(call: Call, calls: int, in_flight: int) -> None:
    """So many calls by so many callers, each making its next one as soon as the last is answered."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(caller() for _ in range(in_flight)))


async def _gateway_client(url: str, resources: AsyncExitStack) -> Call:
    settings = Settings(upstream_url=url, upstream_api_key=API_KEY, upstream_max_connections=MANY)
    client = UpstreamClient.open(settings)
    resources.push_async_callback(client.close)
    return client.credits


async def _httpx_client(url: str, resources: AsyncExitStack) -> Call:
    limits = httpx.Limits(max_connections=MANY, max_keepalive_connections=MANY)
    client = httpx.AsyncClient(base_url=url, headers=auth(API_KEY), limits=limits, trust_env=False, timeout=60)
    await resources.enter_async_context(client)

    async def call() -> object:
        return (await client.get(PATH)).raise_for_status()

    return call


async def _aiohttp_client(url: str, resources: AsyncExitStack) -> Call:
    connector = aiohttp.TCPConnector(limit=MANY)
    session = aiohttp.ClientSession(connector=connector, headers=auth(API_KEY), raise_for_status=True)
    await resources.enter_async_context(session)

    async def call() -> object:
        async with session.get(f"{url}{PATH}") as answer:
            return await answer.json()

    return call
