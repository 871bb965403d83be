"""The body of a paid call: multipart made by us, so that its length and the moment of its last chunk are exact."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import orjson

from service.uploads.spool import Asset, SpoolFile

_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One generation to pay for; the assets lie in `spool`, which stays open until the call has ended."""

    prompt: str
    model_id: str
    generations_count: int
    model_parameters: Mapping[str, object] = field(default_factory=dict)
    receive_url: str | None = None
    assets: tuple[Asset, ...] = ()
    spool: SpoolFile | None = None


class LeaseLost(Exception):
    """This process may no longer send; raised inside the body, so that it stays unfinished."""


class SubmissionBody:
    """The multipart body, sent once, one chunk behind: the last chunk leaves only after everything else has left.

    `send_before` is a `time.monotonic()` moment, looked at before every chunk: a process that was frozen past it sends
    no more, and above all not the closing boundary, without which no server takes the request.
    """

    def __init__(self, request: CreateRequest, send_before: float) -> None:
        self._request = request
        self._send_before = send_before
        self._boundary = secrets.token_hex(16)
        self._heads = [self._asset_head(index, asset) for index, asset in enumerate(request.assets, start=1)]
        self._fields = self._encoded_fields()
        self._closing = f"--{self._boundary}--\r\n".encode()
        self._handed_over = False
        self._started = False
        self._ended = False
        self.lease_lost = False

    @property
    def content_type(self) -> str:
        """The Content-Type with the boundary."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def size_bytes(self) -> int:
        """The exact Content-Length."""
        files = sum(len(head) + asset.size_bytes + 2 for head, asset in zip(self._heads, self._assets, strict=True))
        return len(self._fields) + files + len(self._closing)

    def end(self) -> bool:
        """Whether the last chunk was handed over; after this call it never will be, so the answer is final."""
        self._ended = True
        return self._handed_over

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._started:
            raise RuntimeError("a paid call is never sent twice")
        self._started = True
        held: bytes | None = None
        async for chunk in self._chunks():
            if held is not None:
                self._check_may_send()
                yield held
            held = chunk
        self._check_may_send()
        self._handed_over = True
        yield held or b""

    @property
    def _assets(self) -> tuple[Asset, ...]:
        return self._request.assets

    def _check_may_send(self) -> None:
        if self._ended:
            raise RuntimeError("the call has ended")
        if time.monotonic() >= self._send_before:
            self.lease_lost = True
            raise LeaseLost

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield self._fields
        for head, asset in zip(self._heads, self._assets, strict=True):
            yield head
            if self._request.spool is None:
                raise RuntimeError("assets were given without their spool")
            async for piece in self._request.spool.slices(asset):
                yield piece
            yield b"\r\n"
        yield self._closing

    def _encoded_fields(self) -> bytes:
        request = self._request
        values = {
            "prompt": request.prompt.encode(),
            "model_id": request.model_id.encode(),
            "generations_count": str(request.generations_count).encode(),
            "model_parameters": orjson.dumps(dict(request.model_parameters)) if request.model_parameters else None,
            "receive_url": request.receive_url.encode() if request.receive_url else None,
        }
        return b"".join(self._field(name, value) for name, value in values.items() if value is not None)

    def _field(self, name: str, value: bytes) -> bytes:
        return f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"

    def _asset_head(self, index: int, asset: Asset) -> bytes:
        filename = asset.filename or f"image-{index}.{_EXTENSIONS.get(asset.content_type, 'bin')}"
        return (
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="assets"; filename="{_quoted(filename)}"\r\n'
            f"Content-Type: {asset.content_type}\r\n\r\n"
        ).encode("utf-8", "replace")


def _quoted(filename: str) -> str:
    """As browsers write it: what would end the quotes or the line is percent-encoded."""
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
