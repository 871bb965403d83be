"""A request counts as answered when a whole 2xx went out to a client that was there, seen through a real server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from service.tasks.attach import UnansweredRequests
from service.web.disconnect import Answering, answering
from service.web.middleware import RequestScope
from tests.support.database import Database
from tests.support.waiting import eventually_async
from tests.tasks.unanswered import Processes, ask, processes_on

Serve = Callable[[Answering], Awaitable[Response]]
POST = b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5\r\n\r\nhello"
RELEASED = "SELECT count(*) FROM unanswered_requests WHERE waiter_until <= now()"
KEPT = "SELECT count(*) FROM unanswered_requests"


class Client:
    """A connection of which the test decides when it ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self) -> None:
        self._writer.write(POST)
        await self._writer.drain()

    async def status(self) -> int:
        """The status of one answer, read whole; its body is the word `done`."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readuntil(b"done")
        if b"chunked" in head:
            await self._reader.readuntil(b"0\r\n\r\n")
        return int(head.split()[1])

    async def read_until(self, mark: bytes) -> None:
        await self._reader.readuntil(mark)

    async def leave(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


class Door:
    """A route behind `answering`, whose answer each test decides."""

    def __init__(self, requests: UnansweredRequests, processes: Processes) -> None:
        self.requests = requests
        self.body = b""
        self.may_answer = asyncio.Event()
        self.has_begun = asyncio.Event()
        self.serve: Serve = self.done
        self._processes = processes

    async def done(self, asking: Answering) -> Response:
        await self.may_answer.wait()
        return asking.answer(Response("done"))

    async def endpoint(self, request: Request) -> Response:
        self.body = await request.body()
        unanswered = ask(self.requests)
        async with answering(request, unanswered) as asking:
            await self._processes.make_task(unanswered)
            self.has_begun.set()
            return await self.serve(asking)

    async def meets(self, client: Client) -> None:
        """Until the request is being served."""
        await client.ask()
        await self.has_begun.wait()


@pytest.fixture
async def door(quiet_database: Database) -> AsyncIterator[Door]:
    async with processes_on(quiet_database) as processes:
        yield Door(processes.start(), processes)


@asynccontextmanager
async def connected(door: Door) -> AsyncIterator[Client]:
    app = RequestScope(Starlette(routes=[Route("/", door.endpoint, methods=["POST"])]))
    config = uvicorn.Config(app, http="httptools", lifespan="off", ws="none", log_config=None)
    server, listening = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    client = Client(*await asyncio.open_connection(*listening.getsockname()))
    yield client
    door.may_answer.set()
    await client.leave()
    server.should_exit = True
    await serving


def is_released(database: Database) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool(database.value(RELEASED))

    return look


async def forgotten(door: Door, database: Database) -> bool:
    await door.requests.turn()
    return database.value(KEPT) == 0


async def test_a_whole_good_answer_ends_the_matter(door: Door, quiet_database: Database) -> None:
    async with connected(door) as client:
        door.may_answer.set()
        await client.ask()
        status = await client.status()

        await eventually_async(lambda: forgotten(door, quiet_database), what="the request is forgotten")

    assert (status, door.body) == (200, b"hello")


async def test_two_requests_on_one_connection_are_told_apart(door: Door, quiet_database: Database) -> None:
    async with connected(door) as client:
        door.may_answer.set()
        for _ in range(2):
            await client.ask()
            assert await client.status() == 200

        await eventually_async(lambda: forgotten(door, quiet_database), what="both are forgotten")


async def test_a_client_that_leaves_is_noticed_while_the_work_goes_on(door: Door, quiet_database: Database) -> None:
    async with connected(door) as client:
        await door.meets(client)

        await client.leave()

        await eventually_async(is_released(quiet_database), what="the request is released")
        assert not door.may_answer.is_set()


async def test_a_good_answer_to_a_client_that_left_is_none(door: Door, quiet_database: Database) -> None:
    async with connected(door) as client:
        await door.meets(client)
        await client.leave()
        await eventually_async(is_released(quiet_database), what="the request is released")

        door.may_answer.set()

    await door.requests.turn()
    assert quiet_database.value(RELEASED) == 1


async def test_waiting_for_a_client_that_left_ends(door: Door, quiet_database: Database) -> None:
    ended = asyncio.Event()

    async def wait_for_ever(asking: Answering) -> Response:
        try:
            await asking.while_client_waits(asyncio.Event().wait())
        finally:
            ended.set()
        return Response("done")

    door.serve = wait_for_ever
    async with connected(door) as client:
        await door.meets(client)

        await client.leave()

        async with asyncio.timeout(5):
            await ended.wait()
    assert quiet_database.value(RELEASED) == 1


async def refuse(asking: Answering) -> Response:
    return asking.answer(Response("done", 409))


async def raise_error(asking: Answering) -> Response:
    raise ValueError("something nobody foresaw")


async def answer_unwatched(asking: Answering) -> Response:
    return Response("done")


@pytest.mark.parametrize("serve", [refuse, raise_error, answer_unwatched])
async def test_an_error_after_the_task_was_made_lets_the_next_join(
    door: Door, quiet_database: Database, serve: Serve
) -> None:
    door.serve = serve
    async with connected(door) as client:
        await door.meets(client)

        await eventually_async(is_released(quiet_database), what="the request is released")


async def test_an_error_that_tells_the_tasks_end_is_an_answer(door: Door, quiet_database: Database) -> None:
    async def failed(asking: Answering) -> Response:
        asking.tells_the_end()
        raise ValueError("the task failed")

    door.serve = failed
    async with connected(door) as client:
        await door.meets(client)

        await eventually_async(lambda: forgotten(door, quiet_database), what="the request is forgotten")


def streamed(door: Door) -> Serve:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await door.may_answer.wait()
        yield b"done"

    async def stream(asking: Answering) -> Response:
        return asking.answer(StreamingResponse(pieces()))

    return stream


async def test_a_stream_is_an_answer_when_its_last_byte_is_out(door: Door, quiet_database: Database) -> None:
    door.serve = streamed(door)
    async with connected(door) as client:
        await door.meets(client)
        await client.read_until(b"first")
        await door.requests.turn()
        kept_meanwhile = quiet_database.value(KEPT)

        door.may_answer.set()
        await client.read_until(b"0\r\n\r\n")

        await eventually_async(lambda: forgotten(door, quiet_database), what="the request is forgotten")
    assert kept_meanwhile == 1


async def test_a_stream_that_breaks_off_is_no_answer(door: Door, quiet_database: Database) -> None:
    door.serve = streamed(door)
    async with connected(door) as client:
        await door.meets(client)
        await client.read_until(b"first")

        await client.leave()

        await eventually_async(is_released(quiet_database), what="the request is released")
