"""A load generator that costs little next to what it measures: prepared bytes out, status codes counted."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

import uvloop

HEAD_END = b"\r\n\r\n"
NOTHING: Mapping[str, str] = MappingProxyType({})

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answers:
    """How a batch of requests was answered: counts by status, 0 for connections that ended without an answer."""

    statuses: Counter[int]
    seconds: float
    latencies_s: tuple[float, ...] = ()

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.statuses.total() / self.seconds

    def latency_s(self, share: float) -> float:
        """The time within which this share of the answers had come: 0.5 is the median."""
        return sorted(self.latencies_s)[min(int(len(self.latencies_s) * share), len(self.latencies_s) - 1)]

    def require(self, status: int) -> "Answers":
        """Itself, if every answer has this status: a benchmark of errors measures nothing."""
        assert set(self.statuses) == {status}, f"answers by status: {dict(self.statuses)}"
        return self


def post(url: str, body: bytes, headers: Mapping[str, str] = NOTHING) -> bytes:
    """The bytes of a POST on a kept-alive connection."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + HEAD_END + body


def get(url: str, headers: Mapping[str, str] = NOTHING) -> bytes:
    """The bytes of a GET on a kept-alive connection."""
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]).encode() + HEAD_END


def send_all(base_url: str, requests: Iterable[bytes], connections: int) -> Answers:
    """Send every request over so many kept-alive connections, each with one request in flight at a time."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send_all(base_url, iter(requests), connections))


async def _send_all(base_url: str, requests: Iterator[bytes], connections: int) -> Answers:
    loop, parts = asyncio.get_running_loop(), urlsplit(base_url)
    assert parts.hostname is not None
    assert parts.port is not None
    host, port = parts.hostname, parts.port
    statuses: Counter[int] = Counter()
    latencies_s: list[float] = []
    opened = [
        await loop.create_connection(lambda: _Connection(requests, statuses, latencies_s), host, port)
        for _ in range(connections)
    ]
    began_s = time.perf_counter()
    for _, connection in opened:
        connection.send_next()
    await asyncio.gather(*(connection.ended for _, connection in opened))
    return Answers(statuses, time.perf_counter() - began_s, tuple(latencies_s))


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered; closes when none is left."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int], latencies_s: list[float]) -> None:
        self._requests = requests
        self._statuses = statuses
        self._latencies_s = latencies_s
        self._sent_at_s = 0.0
        self._received = bytearray()
        self._waits = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports fit the type and do not inherit from it.
        self._transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        """Send one more request, or end."""
        request = next(self._requests, None)
        self._waits = request is not None
        if request is None:
            self._transport.close()
        else:
            self._sent_at_s = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_bytes = self._received.find(HEAD_END)
        if head_bytes < 0:
            return
        length = _CONTENT_LENGTH.search(self._received, 0, head_bytes + 2)
        if len(self._received) < head_bytes + len(HEAD_END) + (int(length[1]) if length else 0):
            return
        self._latencies_s.append(time.perf_counter() - self._sent_at_s)
        self._statuses[int(self._received[9:12])] += 1
        self._received.clear()
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._statuses[0] += 1
        self.ended.set_result(None)
