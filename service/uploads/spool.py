"""One unlinked file per request for what it uploads: bounded memory, bounded disk, nothing left behind by a crash."""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from service.errors import Unavailable

SLICE_BYTES = 64 * 1024
FULL_RETRY_AFTER_S = 5.0
DISK_THREADS = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asset:
    """One uploaded image and where in its request's spool it lies; `content_type` is what the bytes really are."""

    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    offset: int
    field: str = "assets"


class Spool:
    """The disk that uploads in flight may take, all requests of this process together.

    Disk work runs on a few threads of its own: a write to the page cache takes microseconds, but once the kernel
    throttles writers it takes seconds, and neither the event loop nor name resolution (asyncio's pool) may wait then.
    """

    def __init__(self, directory: Path | None, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._directory = directory
        self._bytes_in_flight = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="spool")

    @property
    def bytes_in_flight(self) -> int:
        """Bytes that open spool files hold now."""
        return self._bytes_in_flight

    def open(self) -> "SpoolFile":
        """A new, empty spool file; it touches the disk with its first byte."""
        return SpoolFile(self)

    def close(self) -> None:
        """Let the disk threads go; call it when no request is left."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run disk work off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def new_file(self) -> FileIO:
        """An empty file without a name: the system frees it with its last descriptor, whatever happens to us."""
        return tempfile.TemporaryFile(buffering=0, dir=self._directory)

    def reserve(self, size_bytes: int) -> None:
        """Count bytes in; raises `Unavailable` with Retry-After when the spool would pass its limit."""
        with self._lock:
            if self._bytes_in_flight + size_bytes > self.max_bytes:
                raise Unavailable(
                    "Too many uploads are in flight; nothing was stored.", retry_after_s=FULL_RETRY_AFTER_S
                )
            self._bytes_in_flight += size_bytes

    def release(self, size_bytes: int) -> None:
        """Count bytes out."""
        with self._lock:
            self._bytes_in_flight -= size_bytes


class SpoolFile:
    """The uploads of one request, written once from the front, read in slices from anywhere.

    Safe against a close while a thread still writes or reads (a cancelled request): without the lock the descriptor's
    number could go to another request's file in between, and one client's bytes would land in another's upload.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: FileIO | None = None
        self._size_bytes = 0
        self._closed = False
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes written so far, which is also the offset of the next one."""
        return self._size_bytes

    def write(self, chunk: bytes | memoryview) -> None:
        """Append; blocks for the disk, so call it through `in_thread` when it is more than a few KiB.

        Raises `Unavailable` when the spool's limit or the disk is full.
        """
        with self._lock:
            self._refuse_closed()
            self._spool.reserve(len(chunk))
            # Counted before it is written, so that close() gives back exactly what was reserved.
            self._size_bytes += len(chunk)
            try:
                self._append(chunk)
            except OSError as exc:
                raise Unavailable(
                    "The gateway has no room for uploads at the moment.", retry_after_s=FULL_RETRY_AFTER_S
                ) from exc

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`, fewer only at the end; blocks for the disk."""
        with self._lock:
            self._refuse_closed()
            return b"" if self._file is None else os.pread(self._file.fileno(), length, offset)

    async def slices(self, asset: Asset) -> AsyncIterator[bytes]:
        """The asset's bytes in pieces of at most 64 KiB; raises OSError when the file is closed or cut meanwhile."""
        offset, end = asset.offset, asset.offset + asset.size_bytes
        while offset < end:
            piece = await self.in_thread(_reader(self, offset, min(SLICE_BYTES, end - offset)))
            if not piece:
                raise OSError("the spool file is shorter than its asset")
            offset += len(piece)
            yield piece

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run disk work on this file off the event loop."""
        return await self._spool.in_thread(work)

    def close(self) -> None:
        """Drop the file and give its bytes back; may be called any number of times."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._file is not None:
                self._file.close()
            self._spool.release(self._size_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, chunk: bytes | memoryview) -> None:
        if self._file is None:
            self._file = self._spool.new_file()
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _refuse_closed(self) -> None:
        if self._closed:
            raise OSError("the spool file is closed")


def _reader(file: SpoolFile, offset: int, length: int) -> Callable[[], bytes]:
    return lambda: file.read_at(offset, length)
