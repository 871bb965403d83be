"""A TCP path to Postgres that can die without a word: connections stay open and nothing passes any more."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Self
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536


class DeadPath:
    """Passes every connection on to the server of `url` until `die`; connections made after that are alive again."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._open: set[asyncio.Event] = set()
        self._stack = AsyncExitStack()
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self._stack.push_async_callback(server.wait_closed)
        self._stack.callback(server.close)
        self._stack.callback(self.die)
        port = server.sockets[0].getsockname()[1]
        login = self._target.netloc.rpartition("@")[0]
        self.url = self._target._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def die(self) -> None:
        """From now on no byte passes on the connections that are there."""
        while self._open:
            self._open.pop().set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        dead = asyncio.Event()
        self._open.add(dead)
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        pipes = [asyncio.create_task(_pass_on(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]
        ended = asyncio.create_task(dead.wait())
        await asyncio.wait([*pipes, ended], return_when=asyncio.FIRST_COMPLETED)
        for each in (*pipes, ended):
            each.cancel()
        await asyncio.wait([*pipes, ended])
        far_writer.close()
        with suppress(OSError):
            while await reader.read(CHUNK_BYTES):  # taken, and lost
                pass
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
