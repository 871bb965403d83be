"""Posts one notification and tells what came of it; the only place where a subscriber's server is called."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import istr

from service.db.engine import forbid_in_transaction
from service.settings import Settings
from service.subscribers.deadlines import Deadlines
from service.subscribers.dial import ForbiddenAddress, dial_for, guarded_sockets
from service.subscribers.guard import Guard
from service.subscribers.retry import Answer, ErrorClass, read_retry_after
from service.subscribers.target_url import UnreadableUrl, read_target_url

ANSWER_MAX_BYTES = 4096
ERROR_MAX_CHARACTERS = 300
# The status has come by then and decides alone: a body that dribbles in does not hold the place for longer.
BODY_TIMEOUT_S = 3.0
# Below the 5 s after which uvicorn and Node close an idle connection, perhaps just as the next POST arrives on it.
KEEPALIVE_S = 4.0
HEADERS: Mapping[str, str] = {
    "User-Agent": "image-gateway",
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",  # the answer is kept as it came
}


class Sender:
    """Keeps connections to subscribers open between notifications; follows no redirect, proxy setting or cookie."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._timeout_s = settings.delivery_timeout_s
        self._deadlines = Deadlines()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float | None = None) -> Answer:
        """POST once and wait `timeout_s` (or as the settings say) at most; never raises for what the receiver does."""
        forbid_in_transaction()
        started_s = time.monotonic()
        try:
            return await self._exchange(url, headers, body, timeout_s or self._timeout_s)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error_class, error = _classify(exc)
            return Answer(None, error_class, _plain(error), _elapsed_ms(started_s))

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        started_s = time.monotonic()
        target = read_target_url(url)
        dial_for(target.host)
        with self._deadlines.within(timeout_s) as deadline:
            response = await self._session.post(
                target.url, data=aiohttp.BytesPayload(body), headers=headers, allow_redirects=False
            )
        async with response:
            is_all = response.content.at_eof()
            beginning = b"" if is_all else await self._beginning(response, deadline.at_s - time.monotonic())
        return _answer(response, beginning, started_s)

    async def _beginning(self, response: aiohttp.ClientResponse, left_s: float) -> bytes:
        """The status decides, so a body that breaks off or never ends does not turn a 2xx into a failure."""
        try:
            with self._deadlines.within(min(BODY_TIMEOUT_S, left_s)):
                return await _first_bytes(response)
        except (aiohttp.ClientError, OSError):
            response.close()
            return b""


@asynccontextmanager
async def open_sender(
    settings: Settings, guard: Guard, resolver: AbstractResolver | None = None
) -> AsyncIterator[Sender]:
    """A sender whose connections close when the block ends.

    `resolver` looks up host names, the system's unless given. Whatever it answers, the guard judges what is dialled.
    """

    connector = aiohttp.TCPConnector(
        # As many as can be in flight, also per host: waiting for a free connection would look like a slow receiver.
        limit=settings.delivery_max_in_flight,
        limit_per_host=0,
        keepalive_timeout=KEEPALIVE_S,
        socket_factory=guarded_sockets(guard),
        resolver=resolver,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={istr(name): value for name, value in HEADERS.items()},  # folded once, not with every send
        # How long all of it may take is the sender's to watch.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.delivery_connect_timeout_s),
    )
    async with session:
        yield Sender(session, settings)


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    """The first 4 KiB; a longer answer costs its sender the connection, for reading on could take for ever."""
    kept = bytearray()
    while len(kept) < ANSWER_MAX_BYTES and not response.content.at_eof():
        kept += await response.content.read(ANSWER_MAX_BYTES - len(kept))
    if not response.content.at_eof():
        response.close()
    return bytes(kept)


def _answer(response: aiohttp.ClientResponse, beginning: bytes, started_s: float) -> Answer:
    taken = 200 <= response.status < 300
    return Answer(
        status=response.status,
        error_class=None if taken else "http",
        error=None if taken else f"answered {response.status}",
        duration_ms=_elapsed_ms(started_s),
        body=beginning,
        retry_after_s=None if taken else read_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
    )


def _classify(exc: Exception) -> tuple[ErrorClass, str]:
    """The stage at which it failed, and words for it that hold no URL."""
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, ForbiddenAddress):
        return "guard", str(exc.os_error)
    match exc:
        case UnreadableUrl() | aiohttp.InvalidURL():
            return "guard", "the URL cannot be called"
        case aiohttp.ClientConnectorDNSError():
            return "dns", "the host name cannot be resolved"
        case aiohttp.ClientSSLError():
            return "tls", exc.strerror or "no secure connection"
        case aiohttp.ConnectionTimeoutError():
            return "connect", "no connection in time"
        case aiohttp.ClientConnectorError():
            return "connect", exc.strerror or "no connection"
        case asyncio.TimeoutError():
            return "timeout", "no answer in time"
        case _:
            return "http", type(exc).__name__


def _plain(text: str) -> str:
    """Text that Postgres stores whatever a receiver made of it: no NUL, no lone surrogates, no great length."""
    return text.encode(errors="replace").decode().replace("\x00", "")[:ERROR_MAX_CHARACTERS]


def _elapsed_ms(started_s: float) -> int:
    return int((time.monotonic() - started_s) * 1000)
