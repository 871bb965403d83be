"""A webhook receiver that costs next to nothing: keeps when each notification came, answers 204, or never where asked.

`python -m bench.receiver` prints its port. `POST /hook` is answered at once, `POST /hang` never, `GET /arrivals` tells
`{webhook-id: time.monotonic()}` of all that came to /hook since the last time it was asked.
"""

import asyncio
import re
import time
from typing import cast

import orjson
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: *(\S+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection; the requests on it come one after the other."""

    def __init__(self, arrivals: dict[str, float]) -> None:
        self._arrivals = arrivals
        self._unread = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it, to answer on; uvloop's transports inherit from none of asyncio's."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._unread += data
        while (end := self._unread.find(_END_OF_HEAD)) >= 0:
            head = self._unread[:end]
            length = _LENGTH.search(head)
            end += len(_END_OF_HEAD) + (int(length[1]) if length else 0)
            if len(self._unread) < end:
                return
            self._unread = self._unread[end:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if self._transport is None or head.startswith(b"POST /hang"):
            return
        if head.startswith(b"GET /arrivals"):
            body = orjson.dumps(self._arrivals)
            self._arrivals.clear()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        if named := _ID.search(head):
            self._arrivals.setdefault(named[1].decode(), time.monotonic())
        self._transport.write(_TAKEN)


async def serve() -> None:
    """Until the process is killed."""
    arrivals: dict[str, float] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(arrivals), "127.0.0.1", backlog=1024)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
