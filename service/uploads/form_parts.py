"""A form's content as it grows while it is read: text fields within their limits, files checked as they end."""

import hashlib
from dataclasses import dataclass, field

from service.errors import BodyTooLarge, FieldError, InvalidRequest, MalformedBody
from service.uploads.parts import PartHead
from service.uploads.sniff import HEAD_BYTES, image_type, pixel_size
from service.uploads.spool import Asset, SpoolFile

MAX_IMAGE_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What one form may hold; `file_fields` are the names under which files are taken."""

    asset_max_bytes: int
    max_assets: int
    fields_max_bytes: int
    file_fields: frozenset[str] = field(default=frozenset({"assets"}))


@dataclass(frozen=True, slots=True)
class Form:
    """Text fields and files, both in the order in which they were sent."""

    fields: list[tuple[str, str]]
    assets: tuple[Asset, ...]


class TextFields:
    """The text parts of a form, bounded in number and in bytes of names and values together."""

    def __init__(self, max_bytes: int, max_parts: int) -> None:
        self._left_bytes = max_bytes
        self._max_parts = max_parts
        self._parts: list[tuple[str, bytearray]] = []

    def begin(self, name: str) -> None:
        """Start the next field."""
        if len(self._parts) == self._max_parts:
            raise MalformedBody(f"The form has more than {self._max_parts} fields.")
        self._take(len(name))
        self._parts.append((name, bytearray()))

    def write(self, piece: bytes | memoryview) -> None:
        """Append to the current field."""
        self._take(len(piece))
        self._parts[-1][1].extend(piece)

    def pairs(self) -> list[tuple[str, str]]:
        """Every field with its text; raises `MalformedBody` for text that is not UTF-8."""
        return [(name, _decoded(name, value)) for name, value in self._parts]

    def _take(self, size_bytes: int) -> None:
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise BodyTooLarge("The text fields together are larger than this endpoint takes.")


class FilePart:
    """One file on its way into the spool: size and hash as it grows, type and pixels when it ends."""

    def __init__(self, head: PartHead, index: int, spool: SpoolFile, max_bytes: int) -> None:
        self.field = head.name
        self._label = f"{head.name}[{index}]"
        self._filename = head.filename or ""
        self._spool = spool
        self._max_bytes = max_bytes
        self._offset = spool.size_bytes
        self._size_bytes = 0
        self._hash = hashlib.sha256()
        self._asset: Asset | None = None

    def write(self, piece: memoryview) -> None:
        """Append to the file; the bytes are hashed and spooled at once."""
        self._size_bytes += len(piece)
        if self._size_bytes > self._max_bytes:
            raise BodyTooLarge(f"{self._label}: the file is larger than {self._max_bytes:,} bytes.")
        self._hash.update(piece)
        self._spool.write(piece)

    def finish(self) -> None:
        """Check the whole file; raises `InvalidRequest` naming it when it is empty or not a readable image."""
        content_type = self._checked_type()
        self._asset = Asset(
            self._filename, content_type, self._size_bytes, self._hash.hexdigest(), self._offset, self.field
        )

    def asset(self) -> Asset:
        """The finished file."""
        if self._asset is None:
            raise MalformedBody(f"{self._label}: the file was cut on the way.")
        return self._asset

    def _checked_type(self) -> str:
        if self._size_bytes == 0:
            raise self._invalid("the file is empty")
        content_type = image_type(self._read_at(0, HEAD_BYTES))
        if content_type is None:
            raise self._invalid("the file is not an image (PNG, JPEG, WebP or GIF)")
        size = pixel_size(content_type, self._read_at)
        if size is None:
            raise self._invalid(f"the file starts like {content_type}, but its header is damaged")
        if size[0] * size[1] > MAX_IMAGE_PIXELS:
            raise self._invalid(f"{size[0]} x {size[1]} pixels are too many, at most {MAX_IMAGE_PIXELS:,} are taken")
        return content_type

    def _read_at(self, offset: int, length: int) -> bytes:
        length = max(min(length, self._size_bytes - offset), 0)
        return self._spool.read_at(self._offset + offset, length)

    def _invalid(self, message: str) -> InvalidRequest:
        return InvalidRequest(FieldError(self._label, message))


def _decoded(name: str, value: bytearray) -> str:
    try:
        decoded = value.decode()
    except UnicodeDecodeError as exc:
        raise MalformedBody(f"The field `{name[:100]}` is not UTF-8 text.") from exc
    # Postgres stores no NUL in text, and no prompt has one.
    if "\x00" in decoded:
        raise MalformedBody(f"The field `{name[:100]}` holds a NUL character.")
    return decoded
