"""The bytes of a task's pictures: fetched to the spool, not to memory, and given out as base64 in pieces."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from service.uploads.spool import SpoolFile

# A multiple of three, so that the base64 of the pieces is the base64 of the whole.
PIECE_BYTES = 48 * 1024


@dataclass(frozen=True, slots=True)
class HeldPicture:
    """A picture and where it lies in the spool; `mime_type` is what its bytes really are."""

    spool: SpoolFile
    mime_type: str
    offset: int
    size_bytes: int

    @property
    def base64_bytes(self) -> int:
        """The exact length of its base64."""
        return (self.size_bytes + 2) // 3 * 4

    async def base64(self) -> AsyncIterator[bytes]:
        """The picture in base64, in pieces of at most 64 KiB."""
        offset, end = self.offset, self.offset + self.size_bytes
        while offset < end:
            piece = await self.spool.in_thread(_reader(self.spool, offset, min(PIECE_BYTES, end - offset)))
            if not piece:
                raise OSError("the spool file is shorter than its picture")
            offset += len(piece)
            yield base64.b64encode(piece)


async def hold(spool: SpoolFile, mime_type: str, chunks: AsyncIterator[bytes]) -> HeldPicture:
    """Write a picture to the end of the spool file; Unavailable when there is no room."""
    offset = spool.size_bytes
    async for chunk in chunks:
        await spool.in_thread(_writer(spool, chunk))
    return HeldPicture(spool, mime_type, offset, spool.size_bytes - offset)


def _writer(spool: SpoolFile, chunk: bytes) -> Callable[[], None]:
    return lambda: spool.write(chunk)


def _reader(spool: SpoolFile, offset: int, length: int) -> Callable[[], bytes]:
    return lambda: spool.read_at(offset, length)
