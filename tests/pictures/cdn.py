"""Where pictures are kept, in every mood: behaviours of a raw server, most of them hostile."""

import asyncio

from tests.journeys.orders import picture
from tests.upstream.raw_server import Behaviour, Connection, answering

PICTURE = picture("teal", size_bytes=200_000)
PNG = "Content-Type: image/png\r\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def redirecting(location: str, status: int = 302) -> Behaviour:
    """Send everybody somewhere else."""
    return answering(status, b"", f"Location: {location}\r\n")


async def redirecting_here(connection: Connection) -> None:
    """Send the caller to another path of the same server, which has the picture."""
    await connection.read_all()
    if b"/kept/" in connection.head.split(b"\r\n")[0]:
        await connection.answer(200, PICTURE, PNG)
    else:
        await connection.answer(302, b"", "Location: /kept/picture.png\r\n")


async def only_for_browsers(connection: Connection) -> None:
    """Turn away what does not call itself Mozilla, as CDNs do."""
    await connection.read_all()
    is_browser = (connection.header("user-agent") or "").startswith("Mozilla/")
    await connection.answer(200 if is_browser else 403, PICTURE if is_browser else b"<html>", PNG)


async def silent(connection: Connection) -> None:
    """Take the request and say nothing."""
    await connection.read_all()
    await asyncio.Event().wait()


async def closing(connection: Connection) -> None:
    """Hang up on the request."""
    await connection.read_all()


async def stopping_midway(connection: Connection) -> None:
    """Begin a picture and say no more."""
    await connection.read_all()
    connection.writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode() + PICTURE[:1000])
    await connection.writer.drain()
    await asyncio.Event().wait()


def announcing(size_bytes: int) -> Behaviour:
    """Announce a size, send the picture, hang up."""

    async def behave(connection: Connection) -> None:
        await connection.read_all()
        connection.writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size_bytes}\r\n\r\n".encode() + PICTURE)
        await connection.writer.drain()

    return behave


async def endless(connection: Connection) -> None:
    """A picture of unknown length that never ends."""
    await connection.read_all()
    connection.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.writer.write(b"%x\r\n%b\r\n" % (len(PICTURE), PICTURE))
        await connection.writer.drain()


async def garbage(connection: Connection) -> None:
    """Speak something that is not HTTP."""
    await connection.read_all()
    connection.writer.write(b"220 ftp.example ready\r\n")
    await connection.writer.drain()


def large(size_bytes: int) -> Behaviour:
    """A picture of many megabytes, sent as fast as it is taken, as often as a connection asks for it."""

    async def behave(connection: Connection) -> None:
        while True:
            await connection.read_all()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {size_bytes}\r\n\r\n".encode()
            connection.writer.write(head + PICTURE)
            for left in range(size_bytes - len(PICTURE), 0, -len(PICTURE)):
                connection.writer.write(bytes(min(left, len(PICTURE))))
                await connection.writer.drain()

    return behave
