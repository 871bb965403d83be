"""Fetches pictures from where the image API keeps them, and passes their bytes on as they come."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import urljoin

import aiohttp
import structlog

from service.db.engine import forbid_in_transaction
from service.pictures.errors import ImageTimeout, ImageUnavailable
from service.settings import Settings
from service.subscribers.dial import ForbiddenAddress, dial_for, guarded_sockets
from service.subscribers.guard import Guard
from service.subscribers.target_url import UnreadableUrl, host_of, read_target_url
from service.telemetry import observe_upstream
from service.uploads.sniff import HEAD_BYTES, image_type

CHUNK_BYTES = 64 * 1024
MOST_REDIRECTS = 3
# Longer than any picture takes, for a server that always sends a little more.
LONGEST_S = 600.0
# CDNs turn away the default names of HTTP libraries.
USER_AGENT = "Mozilla/5.0 (compatible; image-gateway)"
_REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)

log = structlog.get_logger(__name__)


class PictureCut(Exception):
    """The picture broke off, or is larger than allowed, after its first bytes were passed on."""


class Picture:
    """A picture that is being fetched: its type is found from its first bytes, the rest comes as it is read.

    Close it, whether it was read or not.
    """

    def __init__(self, response: aiohttp.ClientResponse, head: bytes, content_type: str, max_bytes: int) -> None:
        self._response = response
        self._head = head
        self._max_bytes = max_bytes
        self.content_type = content_type
        self.size_bytes = response.content_length

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All of its bytes, in pieces of at most 64 KiB; raises PictureCut when they end too early or not in time."""
        passed_bytes = len(self._head)
        yield self._head
        try:
            async for chunk in self._response.content.iter_chunked(CHUNK_BYTES):
                passed_bytes += len(chunk)
                if passed_bytes > self._max_bytes:
                    raise PictureCut("it is too large")
                yield chunk
        except (aiohttp.ClientError, OSError) as exc:
            raise PictureCut(type(exc).__name__) from exc

    def close(self) -> None:
        """Let the connection go: to the next picture if this one was read whole, else it is closed."""
        self._response.close()


class Pictures:
    """Keeps connections open between pictures. Every address is judged by GATEWAY_IMAGE_ALLOW when it is dialled."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._max_bytes = settings.image_max_bytes
        self._first_bytes_s = 2 * settings.upstream_connect_timeout_s + settings.upstream_read_timeout_s

    async def fetch(self, url: str) -> Picture:
        """The picture at the URL, begun. Raises ImageUnavailable, and ImageTimeout when no byte of it came in time."""
        forbid_in_transaction()
        began_s, outcome = time.monotonic(), "failed"
        try:
            async with asyncio.timeout(self._first_bytes_s):
                picture = await self._opened(url)
            outcome = "ok"
        except TimeoutError as exc:
            outcome = "timeout"
            raise ImageTimeout from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise ImageUnavailable(_told(exc)) from exc
        finally:
            observe_upstream("picture", outcome, time.monotonic() - began_s)
        return picture

    async def _opened(self, url: str) -> Picture:
        """Follow a few redirects, each of them judged like the first address."""
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._get(url)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return await self._read(response)
            response.close()
            url = urljoin(url, location)
        raise ImageUnavailable("Where the image API keeps the picture sends us from one address to the next.")

    async def _get(self, url: str) -> aiohttp.ClientResponse:
        target = read_target_url(url)
        dial_for(target.host)
        return await self._session.get(target.url, allow_redirects=False)

    async def _read(self, response: aiohttp.ClientResponse) -> Picture:
        try:
            self._refuse(response)
            head = await _first_bytes(response)
            content_type = image_type(head)
            if content_type is None:
                raise ImageUnavailable("What is kept there is no picture.")
        except BaseException:
            response.close()
            raise
        return Picture(response, head, content_type, self._max_bytes)

    def _refuse(self, response: aiohttp.ClientResponse) -> None:
        if response.status != HTTPStatus.OK:
            log.warning("picture_refused", status=response.status, host=host_of(str(response.url)))
            raise ImageUnavailable(
                f"Where the image API keeps the picture, the answer was {response.status}.",
                upstream_status=response.status,
            )
        if response.content_length is not None and response.content_length > self._max_bytes:
            raise ImageUnavailable(f"The picture has more than {self._max_bytes:,} bytes.")


@asynccontextmanager
async def open_pictures(settings: Settings) -> AsyncIterator[Pictures]:
    """A fetcher whose connections close when the block ends."""
    guard = Guard(settings.image_networks, settings.image_suffixes, "*" in settings.image_allow)
    connector = aiohttp.TCPConnector(limit=settings.upstream_max_connections, socket_factory=guarded_sockets(guard))
    timeout = aiohttp.ClientTimeout(
        total=LONGEST_S, sock_connect=settings.upstream_connect_timeout_s, sock_read=settings.upstream_read_timeout_s
    )
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # The bytes go on as they are, so that their number is the one that was announced.
        auto_decompress=False,
        headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
    )
    async with session:
        yield Pictures(session, settings)


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readexactly(HEAD_BYTES)
    except asyncio.IncompleteReadError as exc:
        return exc.partial


def _told(exc: Exception) -> str:
    """What went wrong, in words that hold no URL."""
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, ForbiddenAddress):
        return "The picture is kept at an address that GATEWAY_IMAGE_ALLOW does not open."
    match exc:
        case UnreadableUrl() | aiohttp.InvalidURL():
            return "The picture is kept under a URL that cannot be called."
        case aiohttp.ClientConnectorError():
            return "There is no connection to where the image API keeps the picture."
        case _:
            return f"The picture could not be fetched ({type(exc).__name__})."
