"""Every way a connection can end under a paid call, against real sockets, and what the gateway may conclude from it."""

import asyncio
import time
from pathlib import Path

import pytest

from service.upstream.outcome import Accepted, NotAccepted, Refused, Unknown
from tests.support.waiting import eventually_async
from tests.upstream.builders import API_KEY, create_once, make_request, open_client, soon
from tests.upstream.certificates import self_signed
from tests.upstream.raw_server import Connection, answering, raw_server

pytestmark = pytest.mark.anyio

MORE_THAN_ONE_WRITE = b"x" * 8_000_000
CREATED = {"success": True, "task_id": "t-1", "estimated_credits": 12.5, "ec_remain_credits": "987.5"}


async def close_before_reading(connection: Connection) -> None:
    connection.writer.close()


async def reset_before_reading(connection: Connection) -> None:
    connection.reset()


async def close_after_the_head(connection: Connection) -> None:
    await connection.read_head()


async def reset_after_the_head(connection: Connection) -> None:
    await connection.read_head()
    connection.reset()


async def close_within_the_body(connection: Connection) -> None:
    await connection.read_head()
    await connection.reader.readexactly(100_000)
    connection.reset()


async def read_all_then_close(connection: Connection) -> None:
    await connection.read_all()


async def read_all_then_reset(connection: Connection) -> None:
    await connection.read_all()
    connection.reset()


async def never_answer(connection: Connection) -> None:
    await connection.read_all()
    await connection.reader.read()


async def never_read(connection: Connection) -> None:
    await asyncio.Event().wait()


async def cut_its_answer(connection: Connection) -> None:
    await connection.read_all()
    connection.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"success": true, "task_id": "t-')
    await connection.writer.drain()


async def fall_silent_within_its_answer(connection: Connection) -> None:
    await connection.read_all()
    connection.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"success": true, "task_id": "t-')
    await connection.reader.read()


async def answer_no_http(connection: Connection) -> None:
    await connection.read_all()
    connection.writer.write(b"\xff\xfe nonsense \r\n\r\n")
    await connection.writer.drain()


NOT_SENT = {
    "closed before reading": close_before_reading,
    "reset before reading": reset_before_reading,
    "closed after the headers": close_after_the_head,
    "reset after the headers": reset_after_the_head,
    "reset within the body": close_within_the_body,
    "an upload that stalls": never_read,
}
UNKNOWN = {
    "read everything, then closed": read_all_then_close,
    "read everything, then reset": read_all_then_reset,
    "read everything, no answer": never_answer,
    "200 with half a body": cut_its_answer,
    "half an answer, then silence": fall_silent_within_its_answer,
    "an answer that is no HTTP": answer_no_http,
}


@pytest.mark.parametrize("behave", NOT_SENT.values(), ids=NOT_SENT)
async def test_a_body_that_never_left_whole_may_be_sent_again(behave) -> None:
    async with raw_server(behave) as server:
        outcome = await create_once(server.url, MORE_THAN_ONE_WRITE, submit_total_s=0.7)

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "not_sent"
    assert server.only_connection()


@pytest.mark.parametrize("size", [10, len(MORE_THAN_ONE_WRITE)], ids=["a short body", "a long body"])
@pytest.mark.parametrize("behave", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_body_that_left_whole_without_a_readable_answer_is_never_sent_again(behave, size: int) -> None:
    async with raw_server(behave) as server:
        outcome = await create_once(server.url, b"x" * size, submit_total_s=0.7)

    assert isinstance(outcome, Unknown)
    assert server.only_connection()


@pytest.mark.parametrize("behave", [close_before_reading, close_after_the_head], ids=["at once", "after the headers"])
async def test_a_short_body_counts_as_handed_over_however_early_the_connection_ends(behave) -> None:
    async with raw_server(behave) as server:
        outcome = await create_once(server.url)

    assert isinstance(outcome, Unknown)


async def test_a_refused_connection_was_not_accepted() -> None:
    async with raw_server(close_before_reading) as server:
        pass

    outcome = await create_once(server.url)

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "unreachable"


async def test_a_name_that_does_not_resolve_was_not_accepted() -> None:
    # Longer than a name can be, so that the resolver says no without asking the network.
    outcome = await create_once(f"http://{'a-label.' * 32}invalid")

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "unreachable"


async def test_a_certificate_that_nobody_vouches_for_was_not_accepted(tmp_path: Path) -> None:
    async with raw_server(answering(200, CREATED), tls=self_signed(tmp_path)) as server:
        outcome = await create_once(server.url)

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "unreachable"


async def test_a_server_that_speaks_no_tls_was_not_accepted() -> None:
    async def answer_in_clear(connection: Connection) -> None:
        connection.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await connection.writer.drain()

    async with raw_server(answer_in_clear) as server:
        outcome = await create_once(server.url.replace("http:", "https:"))

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "unreachable"


async def test_waiting_in_vain_for_a_free_connection_was_not_accepted() -> None:
    async with (
        raw_server(never_answer) as server,
        open_client(server.url, upstream_max_connections=1, upstream_connect_timeout_s=0.1) as client,
    ):

        async def connected() -> bool:
            return bool(server.connections)

        with make_request() as request:
            first = asyncio.create_task(client.create(request, soon()))
            await eventually_async(connected)

            second = await client.create(request, soon())

            first.cancel()
        assert isinstance(second, NotAccepted)
        assert second.reason == "unreachable"
        assert server.only_connection()


async def test_an_acceptance_names_the_task_and_its_price() -> None:
    async with raw_server(answering(200, CREATED)) as server:
        outcome = await create_once(server.url, MORE_THAN_ONE_WRITE)

    assert isinstance(outcome, Accepted)
    assert (outcome.upstream_id, str(outcome.estimated_credits), str(outcome.remaining_credits)) == (
        "t-1", "12.5", "987.5",
    )  # fmt: skip


async def test_a_refusal_that_comes_before_the_body_was_read_is_heard() -> None:
    async def refuse_early(connection: Connection) -> None:
        await connection.read_head()
        await connection.answer(402, b'{"success": false, "message": "balance too low"}')
        await connection.reader.read()

    async with raw_server(refuse_early) as server:
        outcome = await create_once(server.url, MORE_THAN_ONE_WRITE)

    assert outcome == Refused(402, None, "balance too low")


async def test_a_lease_that_ended_sends_nothing() -> None:
    async with raw_server(answering(200, CREATED)) as server, open_client(server.url) as client:
        with make_request() as request:
            outcome = await client.create(request, time.monotonic())

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "lease_lost"
    assert server.connections == []


async def test_a_lease_that_ends_during_the_upload_withholds_the_rest() -> None:
    lease_over = time.monotonic() + 0.3

    async def lease_is_over() -> bool:
        return time.monotonic() > lease_over

    async def read_on_after_the_lease(connection: Connection) -> None:
        await connection.read_head()
        await eventually_async(lease_is_over)
        connection.body = await connection.reader.read(len(MORE_THAN_ONE_WRITE) * 2)
        while chunk := await connection.reader.read(1_000_000):
            connection.body += chunk

    async with raw_server(read_on_after_the_lease) as server, open_client(server.url) as client:
        with make_request(MORE_THAN_ONE_WRITE) as request:
            outcome = await client.create(request, lease_over)

    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "lease_lost"
    assert len(server.connections[0].body) < len(MORE_THAN_ONE_WRITE)


async def test_an_error_page_that_repeats_the_key_does_not_pass_it_on() -> None:
    async with raw_server(answering(400, {"message": f"bad key {API_KEY}"})) as server:
        outcome = await create_once(server.url)

    assert outcome == Refused(400, None, "bad key ***")
