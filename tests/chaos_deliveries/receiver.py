"""Subscribers as a process of their own: a port each, misbehaving when told to, and a ledger of all that came.

`python -m tests.chaos_deliveries.receiver` prints the address of its control port. There `/open/<name>` answers with a
subscriber's port, `/behave/<name>/<how>` changes it, `/ledger/<n>` answers with the entries from number n on.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from typing import Literal, get_args

import uvloop

from tests.chaos_deliveries.plan import SLOW_ANSWER_S

How = Literal["well", "hang", "refuse", "slow", "error", "throttle", "gone"]
HOWS: tuple[How, ...] = get_args(How)

HEADERS_KEPT = ("webhook-id", "webhook-timestamp", "webhook-signature")
BIND_AGAIN_S = 0.05
ANSWERS: dict[How, bytes] = {
    "well": b"HTTP/1.1 204 No Content\r\n\r\n",
    "slow": b"HTTP/1.1 204 No Content\r\n\r\n",
    "error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "throttle": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "gone": b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
}

# The moment (monotonic seconds: one clock for the whole machine), who, how it was treated, and the three headers.
Entry = tuple[float, str, How, str, str, str]


class Subscriber:
    """One receiver of webhooks; while it refuses, nobody listens on its port."""

    def __init__(self, name: str, ledger: list[Entry]) -> None:
        self.port = 0
        self._name = name
        self._ledger = ledger
        self._how: How = "well"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def behave(self, how: How) -> None:
        """Treat requests like that from now on."""
        self._how = how
        if how == "refuse":
            self._stop_listening()
        else:
            await self._listen()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _listen(self) -> None:
        while self._server is None:
            with suppress(OSError):  # somebody's outgoing connection may have the port for a moment
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
                self.port = self._server.sockets[0].getsockname()[1]
                return
            await _pause(BIND_AGAIN_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                _, headers = await read_request(reader)
                await self._treat(headers, writer)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _treat(self, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        how = self._how
        if how == "slow":
            await _pause(SLOW_ANSWER_S)
        if writer.is_closing():
            return
        kept = [headers.get(name, "") for name in HEADERS_KEPT]
        self._ledger.append((time.monotonic(), self._name, how, kept[0], kept[1], kept[2]))
        writer.write(ANSWERS.get(how, b""))  # no answer: it hangs until the sender gives up


class Control:
    """All subscribers and their ledger, and how they are told to behave."""

    def __init__(self) -> None:
        self._ledger: list[Entry] = []
        self._subscribers: dict[str, Subscriber] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                path, _ = await read_request(reader)
                body = json.dumps(await self._do(path.strip("/").split("/"))).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        writer.close()

    async def _do(self, words: list[str]) -> object:
        match words:
            case ["open", name]:
                self._subscribers[name] = Subscriber(name, self._ledger)
                await self._subscribers[name].behave("well")
                return self._subscribers[name].port
            case ["behave", name, how]:
                await self._subscribers[name].behave(next(each for each in HOWS if each == how))
            case ["ledger", start]:
                return self._ledger[int(start) :]
        return None


async def read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """Path and headers of the next request, whose body is read and thrown away."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return lines[0].split(" ")[1], headers


async def _pause(pause_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), pause_s)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Control().serve, "127.0.0.1", 0)
    sys.stdout.write(f"receiving on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
