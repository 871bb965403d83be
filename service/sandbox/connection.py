"""The server's side of a TCP connection, able to end it at an exact point with FIN or RST."""

import asyncio
import socket
import struct
from typing import Any, ClassVar, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.sandbox.knobs import CutForm
from service.sandbox.upstream import Upstream

CREATE_PATH = "/v1i/task/generate-image"
_CREATE_LINE = b"POST " + CREATE_PATH.encode()
_SCOPE_KEY = "sandbox.connection"
_FLUSH_S = 0.02
_LINGER_S = 0.1


class SandboxConnection(HttpToolsProtocol):
    """uvicorn's protocol plus the cuts that happen below HTTP; `protocol_for` binds it to an upstream."""

    upstream: ClassVar[Upstream]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, drop it at once, or be slow to read from it."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.gone = asyncio.Event()
        self.silent = False
        self._deaf = False
        self._unread = b""
        self._slow = False
        moods, dice = self.upstream.moods, self.upstream.dice
        if dice.falls(moods.accept_cut):
            self.upstream.counts.refused["cut_on_accept"] += 1
            self.cut(moods.accept_cut.how)
        elif moods.slow_connection_s:
            self._slow = True
            self.loop.call_later(moods.slow_connection_s, self._read_at_last)

    def data_received(self, received: bytes) -> None:
        """Parse, unless this is a create that is to end before anyone looked at it."""
        if self._deaf:
            return
        if self._slow:
            # Reading can be paused only once it began: uvloop begins after connection_made.
            self._unread += received
            self.flow.pause_reading()
        elif self._cut_at_first_byte(received):
            self.upstream.counts.refused["cut_first_byte"] += 1
            self.cut(self.upstream.moods.create_cut.how)
        else:
            super().data_received(received)

    def on_message_begin(self) -> None:
        """Let the application find its connection."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[_SCOPE_KEY] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the end."""
        super().connection_lost(exc)
        self.gone.set()

    def cut(self, how: CutForm) -> None:
        """End the connection now; what came in is read no further."""
        if self.transport.is_closing():
            return
        self._deaf = True
        self.flow.pause_reading()
        if how == "reset":
            # A linger time of zero makes the kernel answer with RST instead of FIN.
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
            return
        # FIN first and the close later: closing over unread bytes would send RST in its place.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _cut_at_first_byte(self, received: bytes) -> bool:
        knob = self.upstream.moods.create_cut
        if knob.at != "first_byte" or not received.startswith(_CREATE_LINE):
            return False
        # There is no cycle before the first request, whatever the annotation says.
        idle = getattr(self.cycle, "response_complete", True)
        return bool(idle) and self.upstream.dice.falls(knob)

    def end_silence(self) -> None:
        """Close, if its request was never to be answered: the server stops."""
        if self.silent:
            self.transport.close()

    def _read_at_last(self) -> None:
        self._slow = False
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._unread:
            self.data_received(self._unread)
        self._unread = b""


def protocol_for(upstream: Upstream) -> type[SandboxConnection]:
    """The protocol class that serves this upstream."""
    return type("BoundConnection", (SandboxConnection,), {"upstream": upstream})


async def hang_up(scope: Scope, how: CutForm) -> None:
    """Cut the connection of a request once what was written has left, and wait until it is gone."""
    connection = scope[_SCOPE_KEY]
    await asyncio.sleep(_FLUSH_S)
    connection.cut(how)
    await connection.gone.wait()


class NoAnswer(Response):
    """Ends the connection where an answer was expected."""

    def __init__(self, how: CutForm) -> None:
        super().__init__()
        self.how = how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Cut."""
        await hang_up(scope, self.how)


class HalfAnswer(Response):
    """200 with a full Content-Length and half of the bytes, then the end of the connection."""

    def __init__(self, body: bytes, how: CutForm) -> None:
        super().__init__(body, media_type="application/json")
        self.how = how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half, then cut."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
        await hang_up(scope, self.how)


class Silence(Response):
    """Never answers; the client has to give up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the client to leave, or for the end of the server."""
        scope[_SCOPE_KEY].silent = True
        while (await receive())["type"] != "http.disconnect":
            pass
