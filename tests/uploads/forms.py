"""Multipart bodies and small true images for the upload tests."""

import io
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

from PIL import Image

from service.uploads.multipart import Form, FormLimits, read_form
from service.uploads.spool import Spool, SpoolFile

BOUNDARY = "frontier"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
LIMITS = FormLimits(asset_max_bytes=200_000, max_assets=3, fields_max_bytes=5_000)


def image(kind: str = "PNG", width: int = 3, height: int = 2) -> bytes:
    """A true image of that format."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(written, kind)
    return written.getvalue()


def text_part(name: str, value: str) -> bytes:
    return part(f'form-data; name="{name}"', value.encode())


def file_part(content: bytes, name: str = "assets", filename: str = "a.png") -> bytes:
    return part(f'form-data; name="{name}"; filename="{filename}"', content)


def part(disposition: str, content: bytes, headers: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n{headers}\r\n"
    return head.encode() + content + b"\r\n"


def body_of(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def chunks(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@contextmanager
def spool_file(max_bytes: int = 10_000_000) -> Iterator[SpoolFile]:
    spool = Spool(None, max_bytes)
    try:
        with spool.open() as opened:
            yield opened
    finally:
        spool.close()


async def read(body: bytes, limits: FormLimits = LIMITS, content_type: str = CONTENT_TYPE) -> Form:
    """The form in `body`, which arrives in one piece; its spool is gone again."""
    with spool_file() as spool:
        return await read_form(content_type, chunks([body]), spool, limits)
