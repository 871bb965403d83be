"""What a part of a form is by its headers: text or file, under which name, and which parts are turned away at once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header

from service.errors import FieldError, MalformedBody, UnknownField

MAX_FILENAME_LENGTH = 200
MAX_SHOWN_NAME_LENGTH = 100

# Names under which public clients send references that the API then silently ignores.
MISTAKEN_FIELDS = frozenset(
    {
        "asset", "file", "files", "image", "image_file", "image_files", "image_url", "image_urls", "images",
        "input_image", "input_images", "reference", "reference_image", "reference_image_urls", "reference_images",
        "references", "upload", "uploads",
    }
)  # fmt: skip

_EXTENDED_FILENAME = re.compile(rb"""filename\*=[^;']*'[^;']*'([^;]*)""", re.IGNORECASE)
_IDENTITY_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})


@dataclass(frozen=True, slots=True)
class PartHead:
    """A part's field name, and its file name if it is a file ("" when the file has none)."""

    name: str
    filename: str | None

    @property
    def is_file(self) -> bool:
        """Whether its bytes go to the spool."""
        return self.filename is not None


def read_boundary(content_type: str) -> bytes:
    """The boundary that a multipart Content-Type names; raises `MalformedBody` when it names none."""
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise MalformedBody("The body is not multipart/form-data.")
    if not boundary:
        raise MalformedBody("The Content-Type names no boundary: let the HTTP library set the header itself.")
    return boundary


def read_part_head(headers: Mapping[bytes, bytes], file_fields: frozenset[str]) -> PartHead:
    """What the part's headers (names in lower case) say; a part of a file field is a file even without a file name.

    Raises `MalformedBody` for headers that no form has, `UnknownField` for a file, or a known misnomer of the file
    field, under a name that the endpoint does not take.
    """
    _refuse_foreign_encodings(headers)
    disposition = headers.get(b"content-disposition", b"")
    kind, options = parse_options_header(disposition)
    if kind != b"form-data" or b"name" not in options:
        raise MalformedBody('Every part needs the header `Content-Disposition: form-data; name="…"`.')
    name = _decoded(options[b"name"])
    filename = _filename(disposition, options)
    if name in file_fields:
        return PartHead(name, filename or "")
    if filename is not None or name in MISTAKEN_FIELDS:
        told = misnamed_file_field(name, file_fields)
        raise UnknownField(told, fields=(FieldError(name[:MAX_SHOWN_NAME_LENGTH], told),))
    return PartHead(name, None)


def misnamed_file_field(name: str, file_fields: frozenset[str]) -> str:
    """The sentence for files sent under a name that nothing reads."""
    shown = name[:MAX_SHOWN_NAME_LENGTH]
    if not file_fields:
        return f"`{shown}`: this endpoint takes no files."
    wanted = ", ".join(f"`{each}`" for each in sorted(file_fields))
    return f"`{shown}` is not a file field here: did you mean {wanted}? Send the images' bytes as its (repeated) parts."


def _refuse_foreign_encodings(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-type", b"").strip().lower().startswith(b"multipart/"):
        raise MalformedBody("A part holds a nested multipart body: send each file as a part of its own.")
    if headers.get(b"content-transfer-encoding", b"").strip().lower() not in _IDENTITY_ENCODINGS:
        raise MalformedBody("A part has a Content-Transfer-Encoding: send the bytes as they are.")


def _filename(disposition: bytes, options: Mapping[bytes, bytes]) -> str | None:
    plain = options.get(b"filename")
    if plain is not None:
        return _safe(plain.decode("utf-8", "replace"))
    extended = _EXTENDED_FILENAME.search(disposition)
    return _safe(unquote(extended.group(1).decode("latin-1").strip('" '))) if extended else None


def _safe(filename: str) -> str:
    """The last path segment in printable characters: it is repeated in headers and shown to people."""
    base = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in base if char.isprintable() and char != '"')[-MAX_FILENAME_LENGTH:]


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as exc:
        raise MalformedBody("A part's name is not UTF-8 text.") from exc
