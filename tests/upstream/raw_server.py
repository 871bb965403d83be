"""A TCP server whose every byte and every ending the test decides: what no HTTP server can be asked to do."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson


@dataclass
class Connection:
    """One accepted connection and what was read from it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    body: bytes = b""

    async def read_head(self) -> None:
        self.head = await self.reader.readuntil(b"\r\n\r\n")

    async def read_all(self) -> None:
        """The whole request, by its Content-Length."""
        await self.read_head()
        self.body = await self.reader.readexactly(int(self.header("content-length") or 0))

    def header(self, name: str) -> str | None:
        lines = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:])
        return next((value.strip() for key, _, value in lines if key.lower() == name), None)

    def reset(self) -> None:
        """End with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def answer(self, status: int, body: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()


Behaviour = Callable[[Connection], Awaitable[None]]


@dataclass
class RawServer:
    """Where it listens and every connection that it accepted so far."""

    url: str = ""
    connections: list[Connection] = field(default_factory=list)

    def only_connection(self) -> Connection:
        """The one connection that came; fails with what was read from each when there is another number."""
        heads = [connection.head[:80] for connection in self.connections]
        assert len(heads) == 1, heads
        return self.connections[0]


@asynccontextmanager
async def raw_server(behave: Behaviour, tls: ssl.SSLContext | None = None, host: str = "") -> AsyncIterator[RawServer]:
    """Serve with `behave` on a free loopback port; a connection is closed when its `behave` returns."""
    served = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        served.connections.append(connection)
        try:
            await behave(connection)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = socket.create_server((host, 0)) if host else _listening()
    server = await asyncio.start_server(serve, sock=listening, ssl=tls)
    address, port = listening.getsockname()
    served.url = f"{'https' if tls else 'http'}://{host or address}:{port}"
    try:
        yield served
    finally:
        for connection in served.connections:
            connection.writer.transport.abort()
        server.close()


def _listening() -> socket.socket:
    """A socket on a loopback address of this process alone, where the system has more than one.

    Ports of 127.0.0.1 are soon reused: another program's late probe of the port's last owner would count as ours.
    """
    own = f"127.{os.getpid() >> 8 & 0x7F | 0x40}.{os.getpid() & 0xFF}.1"
    try:
        return socket.create_server((own, 0))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


def answering(status: int, body: object, headers: str = "") -> Behaviour:
    """Read each request whole and answer it so, for as long as the connection is kept."""
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)

    async def behave(connection: Connection) -> None:
        while True:
            await connection.read_all()
            await connection.answer(status, encoded, headers)

    return behave
