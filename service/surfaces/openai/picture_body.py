"""The answer with the pictures as JSON, in pieces: tens of megabytes of base64 are never whole in memory."""

from collections.abc import AsyncIterator, Sequence

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.surfaces.openai.pictured import Pictured
from service.surfaces.openai.pictures import Shown
from service.uploads.spool import SpoolFile


class PictureAnswer(StreamingResponse):
    """The answer to a request that has waited for its pictures; lets go of the spool file however it ends."""

    media_type = "application/json"

    def __init__(self, done: Pictured, shown: Sequence[Shown], spool: SpoolFile) -> None:
        head = orjson.dumps(done.facts)[:-1] + b',"data":['
        braces_and_commas = 3 * len(shown) - 1 if shown else 0
        length = len(head) + sum(each.size_bytes for each in shown) + braces_and_commas + len(b"]}")
        super().__init__(_pieces(head, shown), headers={"Cache-Control": "no-store", "Content-Length": str(length)})
        self._spool = spool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._spool:
            await super().__call__(scope, receive, send)


async def _pieces(head: bytes, shown: Sequence[Shown]) -> AsyncIterator[bytes]:
    yield head
    for number, each in enumerate(shown):
        yield b",{" if number else b"{"
        async for piece in each.members():
            yield piece
        yield b"}"
    yield b"]}"
