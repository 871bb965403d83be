"""No caller of a free call sees a busy, throttled or briefly unreachable upstream; a denial is passed on at once."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import orjson
import pytest

from service.errors import UpstreamRefused, UpstreamUnavailable, UpstreamUnknown
from service.upstream.client import UpstreamClient
from tests.upstream.builders import API_KEY, make_settings, open_client
from tests.upstream.raw_server import Behaviour, Connection, RawServer, answering, raw_server

pytestmark = pytest.mark.anyio

BUSY = {"success": False, "code": "server_busy", "message": "Task polling temporarily busy"}
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
TASK = {"id": "t", "status": "doing"}


def after(first: Behaviour, then: Behaviour, times: int = 2) -> Behaviour:
    """`first` on the first connections (each is closed after it), `then` on all others."""
    met = 0

    async def behave(connection: Connection) -> None:
        nonlocal met
        met += 1
        await (first if met <= times else then)(connection)

    return behave


def once(status: int, body: object, headers: str = "") -> Behaviour:
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)

    async def behave(connection: Connection) -> None:
        await connection.read_all()
        await connection.answer(status, encoded, f"Connection: close\r\n{headers}")

    return behave


async def reset(connection: Connection) -> None:
    connection.reset()


async def cut(connection: Connection) -> None:
    await connection.read_all()
    connection.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"id"')


async def never_answer(connection: Connection) -> None:
    await connection.reader.read()


@asynccontextmanager
async def asked(behave: Behaviour, **changes: float | str) -> AsyncIterator[tuple[UpstreamClient, RawServer]]:
    async with raw_server(behave) as server, open_client(server.url, **changes) as client:
        yield client, server


MOODS = {
    "busy as 503": once(503, BUSY),
    "busy as 429": once(429, BUSY),
    "busy as 200": once(200, BUSY),
    "a throttling 401": once(401, {"message": "Unauthorized"}),
    "HTML": once(502, HTML),
    "HTML as 200": once(200, HTML),
    "HTML as 404": once(404, HTML),
    "a reset": reset,
    "half an answer": cut,
    "JSON that is no task": once(200, {"success": True}),
}


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS)
async def test_a_mood_is_sat_out(mood: Behaviour) -> None:
    async with asked(after(mood, answering(200, TASK))) as (client, server):
        report = await client.task("t")

    assert report.upstream_id == "t"
    assert len(server.connections) >= 3


@pytest.mark.parametrize("mood", [m for n, m in MOODS.items() if n != "JSON that is no task"])
async def test_a_price_is_asked_again_as_well(mood: Behaviour) -> None:
    async with asked(after(mood, answering(200, {"success": True, "credits": 1188}))) as (client, _):
        assert await client.price("m", 1, {}, 0) == Decimal(1188)


async def test_a_mood_that_lasts_is_told_with_the_time_to_come_back() -> None:
    started = time.monotonic()
    async with asked(answering(503, BUSY), upstream_retry_budget_s=0.5) as (client, server):
        with pytest.raises(UpstreamUnavailable, match="temporarily busy") as problem:
            await client.task("t")

    assert time.monotonic() - started < 1.5
    assert problem.value.retry_after_s
    assert problem.value.upstream_code == "server_busy"
    assert len(server.connections[0].head) > 0


async def test_a_retry_after_beyond_the_budget_is_passed_on_at_once() -> None:
    started = time.monotonic()
    async with asked(answering(429, BUSY, "Retry-After: 40\r\n")) as (client, _):
        with pytest.raises(UpstreamUnavailable) as problem:
            await client.task("t")

    assert time.monotonic() - started < 0.5
    assert problem.value.retry_after_s == 40


async def test_a_lasting_401_tells_the_operator_and_does_not_leak_the_key() -> None:
    async with asked(answering(401, {"message": API_KEY}), upstream_retry_budget_s=0.1) as (client, _):
        with pytest.raises(UpstreamUnavailable, match="GATEWAY_UPSTREAM_API_KEY") as problem:
            await client.credits()

    assert API_KEY not in str(problem.value)


async def test_an_upstream_that_is_silent_is_given_up_on() -> None:
    async with asked(never_answer, upstream_read_timeout_s=0.2, upstream_retry_budget_s=0.3) as (client, _):
        with pytest.raises(UpstreamUnavailable):
            await client.task("t")


DENIALS = {
    "404": (404, {"success": False, "message": "Task not found"}),
    "403": (403, {"success": False, "message": "forbidden"}),
    "500 Invalid model_id": (500, {"success": False, "message": "Invalid model_id. Valid: a, b"}),
}


@pytest.mark.parametrize(("status", "body"), DENIALS.values(), ids=DENIALS)
async def test_a_denial_is_passed_on_at_once_in_the_apis_words(status: int, body: dict[str, object]) -> None:
    async with asked(once(status, body)) as (client, server):
        with pytest.raises(UpstreamRefused, match=str(body["message"])) as problem:
            await client.task("t")

    assert problem.value.upstream_status == status
    assert len(server.connections) == 1


async def test_an_answer_without_bound_is_no_answer() -> None:
    async with asked(answering(200, b"[" + b" " * 2_000_000 + b"]"), upstream_retry_budget_s=0.1) as (client, _):
        with pytest.raises(UpstreamUnavailable, match="1 MiB"):
            await client.models()


async def test_a_delete_is_asked_for_once_and_may_stay_unknown() -> None:
    async with asked(cut) as (client, server):
        with pytest.raises(UpstreamUnknown):
            await client.delete(["t"])

    assert len(server.connections) == 1


async def test_every_attempt_is_observed_and_guarded() -> None:
    seen: list[tuple[str, str]] = []
    guarded: list[bool] = []
    async with raw_server(after(once(503, BUSY), answering(200, TASK), times=1)) as server:
        client = UpstreamClient.open(
            make_settings(server.url),
            lambda call, outcome, seconds: seen.append((call, outcome)),
            lambda: guarded.append(True),
        )
        await client.task("t")
        await client.close()

    assert seen == [("task", "busy"), ("task", "answered")]
    assert len(guarded) == 2
