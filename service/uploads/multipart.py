"""Read a multipart form of any size with bounded memory: text is kept, files go to the spool on the way."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from service.errors import BodyTooLarge, MalformedBody
from service.uploads.form_parts import FilePart, Form, FormLimits, TextFields
from service.uploads.parts import PartHead, read_boundary, read_part_head
from service.uploads.spool import SpoolFile

__all__ = ["Form", "FormLimits", "read_form"]

BATCH_BYTES = 64 * 1024
BATCH_CHUNKS = 16
INLINE_BYTES = 16 * 1024
MAX_TEXT_PARTS = 100
PART_HEAD_BYTES = 8 * 4224

# The parser warns about every malformed body; that is the sender's affair and answered with a 400.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


async def read_form(content_type: str, body: AsyncIterator[bytes], spool: SpoolFile, limits: FormLimits) -> Form:
    """The form in `body`: its text fields in order and its files, spooled, hashed and checked to be images.

    Batches of 64 KiB are parsed, hashed and written on the spool's threads, one at a time per request. Raises
    `MalformedBody`, `UnknownField` (a file under a name that nothing reads, as soon as its headers are in),
    `BodyTooLarge`, `InvalidRequest` (an empty file, or no image) or `Unavailable` (the spool is full); the caller
    closes the spool file in every case.
    """
    reader = _FormReader(read_boundary(content_type), spool, limits)
    batch: list[bytes] = []
    async for chunk in body:
        batch.append(chunk)
        if len(batch) == BATCH_CHUNKS or sum(map(len, batch)) >= BATCH_BYTES:
            await _feed(reader, batch, spool)
            batch = []
    await _feed(reader, batch, spool)
    return reader.form()


async def _feed(reader: "_FormReader", batch: list[bytes], spool: SpoolFile) -> None:
    """A hop to a thread costs more than it saves for what is small; a form without files never makes one."""
    if sum(map(len, batch)) <= INLINE_BYTES:
        reader.feed(batch)
    else:
        await spool.in_thread(lambda: reader.feed(batch))


@dataclass(slots=True)
class _Header:
    name: bytes = b""
    value: bytes = b""


class _FormReader:
    """Turns the parser's callbacks into fields and files; one thread at a time."""

    def __init__(self, boundary: bytes, spool: SpoolFile, limits: FormLimits) -> None:
        self._spool = spool
        self._limits = limits
        self._text = TextFields(limits.fields_max_bytes, MAX_TEXT_PARTS)
        self._files: list[FilePart] = []
        self._headers: dict[bytes, bytes] = {}
        self._header = _Header()
        self._head: PartHead | None = None
        self._ended = False
        self._left_bytes = _total_max_bytes(limits)
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as exc:
            raise MalformedBody("The boundary in the Content-Type is too long.") from exc

    def feed(self, batch: list[bytes]) -> None:
        """Take the next pieces of the body."""
        self._left_bytes -= sum(map(len, batch))
        if self._left_bytes < 0:
            raise BodyTooLarge("The body is larger than all the fields and files together that this endpoint takes.")
        try:
            for chunk in batch:
                self._parser.write(chunk)
        except FormParserError as exc:
            raise MalformedBody(f"The multipart body is malformed: {exc}.") from exc

    def form(self) -> Form:
        """The whole form; call it after the last byte."""
        if not self._ended:
            raise MalformedBody("The multipart body ends before its closing boundary: it was cut on the way.")
        return Form(self._text.pairs(), tuple(file.asset() for file in self._files))

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._header = _Header()
        self._head = None

    def _on_header_field(self, chunk: bytes, start: int, end: int) -> None:
        self._header.name += chunk[start:end]

    def _on_header_value(self, chunk: bytes, start: int, end: int) -> None:
        self._header.value += chunk[start:end]

    def _on_header_end(self) -> None:
        name = self._header.name.lower()
        if name in self._headers:
            raise MalformedBody("A part has the same header twice.")
        self._headers[name] = self._header.value
        self._header = _Header()

    def _on_headers_finished(self) -> None:
        self._head = read_part_head(self._headers, self._limits.file_fields)
        if not self._head.is_file:
            self._text.begin(self._head.name)
            return
        if len(self._files) == self._limits.max_assets:
            raise BodyTooLarge(f"`{self._head.name}`: at most {self._limits.max_assets} files in one request.")
        index = sum(file.field == self._head.name for file in self._files)
        self._files.append(FilePart(self._head, index, self._spool, self._limits.asset_max_bytes))

    def _on_part_data(self, chunk: bytes, start: int, end: int) -> None:
        piece = memoryview(chunk)[start:end]
        if self._head is not None and self._head.is_file:
            self._files[-1].write(piece)
        else:
            self._text.write(piece)

    def _on_part_end(self) -> None:
        if self._head is not None and self._head.is_file:
            self._files[-1].finish()

    def _on_end(self) -> None:
        self._ended = True


def _total_max_bytes(limits: FormLimits) -> int:
    """Everything a form within its limits can weigh, so that padding before, between and behind parts ends too."""
    parts = limits.max_assets + MAX_TEXT_PARTS + 1
    return limits.max_assets * limits.asset_max_bytes + limits.fields_max_bytes + parts * PART_HEAD_BYTES
