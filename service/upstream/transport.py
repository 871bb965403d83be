"""The only module that speaks HTTP to the image API; out of it come facts, never an HTTP library's exception."""

import asyncio
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Self

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from service.settings import Settings
from service.upstream.outcome import Exchange
from service.upstream.submission import SubmissionBody

MAX_ANSWER_BYTES = 1024 * 1024

# httpx-aiohttp lets what it does not know pass through: aiohttp's own errors, and ValueError for an odd status line.
_FAILURES = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    aiohttp.ClientError,
    OSError,
    ValueError,
    RuntimeError,
)
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class Transport:
    """Two pools to one host: kept-alive connections for what is free, a fresh one for every call that costs.

    A kept-alive connection may be closed by the server just as a request arrives on it, and nobody can tell whether
    the request was read. A paid call therefore never uses one.
    """

    def __init__(self, settings: Settings, tls: ssl.SSLContext) -> None:
        self._key = settings.upstream_api_key.get_secret_value()
        self._submit_total_s = settings.submit_total_s
        connect_s, read_s = settings.upstream_connect_timeout_s, settings.upstream_read_timeout_s
        self._read_total_s = 2 * connect_s + read_s
        limit = settings.upstream_max_connections
        self._reads = _client(
            settings,
            tls,
            aiohttp.TCPConnector(limit=limit, ssl=tls),
            httpx.Timeout(read_s, connect=connect_s, pool=2 * connect_s),
        )
        self._submissions = _client(
            settings,
            tls,
            aiohttp.TCPConnector(limit=limit, ssl=tls, force_close=True),
            httpx.Timeout(None, connect=connect_s, pool=2 * connect_s),
        )

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open both pools; call it inside the event loop."""
        return cls(settings, _tls_context(settings.upstream_url))

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        await self._reads.aclose()
        await self._submissions.aclose()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Exchange:
        """One attempt at a GET."""
        return await self._exchange(self._reads, self._reads.build_request("GET", path, params=params), None)

    async def post(self, path: str, body: object) -> Exchange:
        """One attempt at a POST of JSON that costs nothing."""
        headers = {"Content-Type": "application/json"}
        request = self._reads.build_request("POST", path, content=orjson.dumps(body), headers=headers)
        return await self._exchange(self._reads, request, None)

    async def submit(self, path: str, body: SubmissionBody) -> Exchange:
        """The one attempt at a paid POST, on a connection of its own."""
        headers = {"Content-Type": body.content_type, "Content-Length": str(body.size_bytes)}
        request = self._submissions.build_request("POST", path, content=body, headers=headers)
        return await self._exchange(self._submissions, request, body)

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request, body: SubmissionBody | None
    ) -> Exchange:
        answer = _Answer()
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._read_total_s if body is None else self._submit_total_s):
                await answer.receive(client, request)
        except _FAILURES as exc:
            failure = exc
        # Asked only now, with the connection closed: until then the last chunk could still leave.
        handed_over = body.end() if body is not None else True
        return Exchange(
            status=answer.status,
            headers=answer.headers,
            body=self._scrubbed(bytes(answer.body)),
            last_chunk_handed_over=handed_over,
            never_connected=answer.status is None and _never_connected(failure),
            error=None if failure is None else self._told(failure),
            complete=answer.complete,
        )

    def _scrubbed(self, body: bytes) -> bytes:
        """Error pages like to repeat the key; what leaves here may reach logs and clients."""
        return body.replace(self._key.encode(), b"***") if self._key else body

    def _told(self, failure: Exception) -> str:
        cause = failure.__cause__ or failure
        told = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
        return (told.replace(self._key, "***") if self._key else told)[:300]


class _Answer:
    """What has come of an answer so far; it stays readable when the rest never comes."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.body = bytearray()
        self.complete = False

    async def receive(self, client: httpx.AsyncClient, request: httpx.Request) -> None:
        response = await client.send(request, stream=True)
        try:
            self.status, self.headers = response.status_code, dict(response.headers)
            async for chunk in response.aiter_bytes():
                self.body += chunk[: MAX_ANSWER_BYTES - len(self.body)]
                if len(self.body) >= MAX_ANSWER_BYTES:
                    return
            self.complete = True
        finally:
            await response.aclose()


def _client(
    settings: Settings, tls: ssl.SSLContext, connector: aiohttp.TCPConnector, timeout: httpx.Timeout
) -> httpx.AsyncClient:
    # Either cookie jar would replay the API's cookies, and bind our calls to one of its servers.
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    return httpx.AsyncClient(
        base_url=settings.upstream_url,
        headers=_headers(settings),
        timeout=timeout,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        transport=AiohttpTransport(client=session, verify=tls, trust_env=False),
    )


def _headers(settings: Settings) -> dict[str, str]:
    key = settings.upstream_api_key.get_secret_value()
    auth = {"xi-api-key": key} if settings.upstream_auth == "xi-api-key" else {"Authorization": f"Bearer {key}"}
    # Uncompressed answers keep the bound on an answer's size a bound on memory.
    return {**auth, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _user_agent()}


def _user_agent() -> str:
    return f"image-gateway (aiohttp {version('aiohttp')})"


def _tls_context(url: str) -> ssl.SSLContext:
    """The usual authorities and those of the system, where operators put their own; none for plain http."""
    if not url.startswith("https:"):
        # Loading them takes 30 ms of every start; a context without any trusts nobody.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def _never_connected(failure: BaseException | None) -> bool:
    while failure is not None:
        if isinstance(failure, _NO_CONNECTION):
            return True
        failure = failure.__cause__
    return False
