"""What an uploaded file really is: image type by magic number, pixel size by header; pure, nothing is decoded.

The four formats are read by hand because Pillow's WebP reader loads the whole file and starts its decoder, and because
an attacker's bytes then meet 60 lines of bounds-checked Python instead of C libraries. Pillow is the tests' oracle.
"""

from collections.abc import Callable

HEAD_BYTES = 32
MAX_JPEG_SEGMENTS = 512

ReadAt = Callable[[int, int], bytes]
"""`read(offset, length)`: up to `length` bytes of the file from `offset`, fewer only at its end."""

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


def image_type(head: bytes) -> str | None:
    """The media type of the image that starts with `head` (32 bytes suffice), or None when it is none we know."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def pixel_size(content_type: str, read: ReadAt) -> tuple[int, int] | None:
    """Width and height in pixels as the header declares them, or None when the header is damaged or cut."""
    readers = {"image/png": _png, "image/gif": _gif, "image/webp": _webp, "image/jpeg": _jpeg}
    size = readers[content_type](read)
    return size if size is not None and size[0] > 0 and size[1] > 0 else None


def _png(read: ReadAt) -> tuple[int, int] | None:
    head = read(0, 24)
    if len(head) < 24 or head[8:16] != b"\x00\x00\x00\x0dIHDR":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _gif(read: ReadAt) -> tuple[int, int] | None:
    head = read(0, 10)
    return (_little(head[6:8]), _little(head[8:10])) if len(head) == 10 else None


def _webp(read: ReadAt) -> tuple[int, int] | None:
    head = read(0, 30)
    if len(head) < 25:
        return None
    if head[12:16] == b"VP8L" and head[20] == 0x2F:
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if len(head) < 30:
        return None
    if head[12:16] == b"VP8X":
        return _little(head[24:27]) + 1, _little(head[27:30]) + 1
    if head[12:16] == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    return None


def _jpeg(read: ReadAt) -> tuple[int, int] | None:
    """Walk the segments, each named by a marker and its own length, to the frame header that holds the size."""
    offset = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        segment = read(offset, 9)
        if len(segment) < 4 or segment[0] != 0xFF:
            return None
        marker = segment[1]
        if marker == 0xFF:
            offset += 1
        elif marker in _JPEG_BARE:
            offset += 2
        elif marker in _JPEG_FRAMES:
            return (_big(segment[7:9]), _big(segment[5:7])) if len(segment) == 9 else None
        else:
            offset += 2 + max(_big(segment[2:4]), 2)
    return None


def _little(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _big(value: bytes) -> int:
    return int.from_bytes(value, "big")
