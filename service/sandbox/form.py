"""Read a create request in any of its three forms, counting and hashing files as they pass: no file is ever kept."""

import hashlib
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.sandbox.refusals import Refused
from service.sandbox.task import Asset

_MAX_TEXT_BYTES = 1024 * 1024
_MAX_PARTS = 100
_HEAD_BYTES = 16


@dataclass
class Submission:
    """What a create request said, whatever its form; `ignored` names file fields that no one looks at."""

    fields: dict[str, Any] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


async def read_submission(content_type: str, chunks: AsyncIterable[bytes]) -> Submission:
    """The whole body, read to its end; Refused with 400 or 415 when it cannot be understood."""
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return await _read_multipart(options.get(b"boundary", b""), chunks)
    text = await _read_text(chunks)
    if kind == b"application/x-www-form-urlencoded":
        return Submission(dict(parse_qsl(text, keep_blank_values=True)))
    if kind == b"application/json":
        return Submission(json_object(text))
    raise Refused(415, "content_type", "send multipart/form-data, application/x-www-form-urlencoded or JSON")


def json_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object in a body; Refused with 400 when it is anything else."""
    try:
        parsed = orjson.loads(text)
    except ValueError as exc:
        raise Refused(400, "bad_json", "the body is not JSON") from exc
    if not isinstance(parsed, dict):
        raise Refused(400, "bad_json", "the body is not a JSON object")
    return parsed


def sniff(head: bytes) -> str:
    """The image type that the first bytes of a file say; empty when they are none that the models take."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return ""


async def _read_text(chunks: AsyncIterable[bytes]) -> str:
    body = bytearray()
    async for chunk in chunks:
        if len(body) <= _MAX_TEXT_BYTES:
            body += chunk
    if len(body) > _MAX_TEXT_BYTES:
        raise Refused(413, "too_long", "a body without files may have 1 MiB")
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise Refused(400, "bad_text", "the body is not UTF-8") from exc


async def _read_multipart(boundary: bytes, chunks: AsyncIterable[bytes]) -> Submission:
    if not boundary:
        raise Refused(400, "bad_multipart", "multipart/form-data without a boundary")
    reader = _PartReader(boundary)
    async for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


class _PartReader:
    """Turns the parser's callbacks into a submission; after the first fault it only lets the rest pass."""

    def __init__(self, boundary: bytes) -> None:
        self._submission = Submission()
        self._fault = ""
        self._ended = False
        self._parts = 0
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._content,
                    "on_part_end": self._end,
                    "on_end": self._finished,
                },
            )
        except FormParserError as exc:
            raise Refused(400, "bad_multipart", str(exc)) from exc

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self._fault or not chunk:
            return
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            self._fault = str(exc)

    def finish(self) -> Submission:
        """What was sent; Refused when it was no complete form."""
        if not self._fault and not self._ended:
            self._fault = "the form ends before its closing boundary"
        if self._fault:
            raise Refused(400, "bad_multipart", self._fault)
        return self._submission

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            self._fault = f"more than {_MAX_PARTS} parts"
        self._disposition: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._text, self._head = bytearray(), b""
        self._bytes, self._digest = 0, hashlib.sha256()

    def _header_name(self, chunk: bytes, start: int, end: int) -> None:
        self._name += chunk[start:end]

    def _header_value(self, chunk: bytes, start: int, end: int) -> None:
        self._value += chunk[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = parse_options_header(self._value)[1]
        self._name, self._value = b"", b""

    def _headers_finished(self) -> None:
        self._field = self._disposition.get(b"name", b"").decode(errors="replace")
        # A part named assets is a file even when a client forgot its file name.
        self._is_file = b"filename" in self._disposition or self._field == "assets"

    def _content(self, chunk: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._text += chunk[start:end]
            if len(self._text) > _MAX_TEXT_BYTES:
                self._fault = f"the field {self._field} is longer than 1 MiB"
            return
        if self._bytes < _HEAD_BYTES:
            self._head += chunk[start : min(end, start + _HEAD_BYTES)]
        self._bytes += end - start
        self._digest.update(memoryview(chunk)[start:end])

    def _end(self) -> None:
        if not self._is_file:
            self._submission.fields[self._field] = self._text.decode(errors="replace")
        elif self._field == "assets":
            filename = self._disposition.get(b"filename", b"").decode(errors="replace")
            self._submission.assets.append(Asset(self._bytes, self._digest.hexdigest(), sniff(self._head), filename))
        else:
            self._submission.ignored.append(self._field)

    def _finished(self) -> None:
        self._ended = True
