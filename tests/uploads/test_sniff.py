"""An image's type and size as read by hand agree with Pillow, and no bytes break the reading."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.uploads.sniff import image_type, pixel_size

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def sized(content: bytes) -> tuple[int, int] | None:
    kind = image_type(content[:32])
    return None if kind is None else pixel_size(kind, lambda offset, length: content[offset : offset + length])


def encoded(kind: str, size: tuple[int, int], **options: object) -> bytes:
    written = io.BytesIO()
    Image.new("RGBA" if options.pop("alpha", False) else "RGB", size).save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_type_and_size_are_those_of_the_image(kind: str, width: int, height: int) -> None:
    content = encoded(kind, (width, height))

    assert image_type(content[:32]) == KINDS[kind]
    assert sized(content) == (width, height)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\x00\x00" + bytes(60_000), "icc_profile": bytes(200_000)}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"alpha": True}),
        ("PNG", {"alpha": True}),
    ],
    ids=["progressive JPEG", "JPEG with large headers", "lossless WebP", "WebP with alpha", "PNG with alpha"],
)
def test_every_flavour_of_a_format_is_read(kind: str, options: dict[str, object]) -> None:
    assert sized(encoded(kind, (37, 41), **options)) == (37, 41)


@given(st.sampled_from([encoded(kind, (9, 8)) for kind in KINDS]), st.integers(0, 60))
def test_a_cut_image_has_its_size_or_none(content: bytes, length: int) -> None:
    assert sized(content[:length]) in {(9, 8), None}


@given(st.sampled_from([encoded(kind, (9, 8))[:12] for kind in KINDS]), st.binary(max_size=400))
def test_no_bytes_break_the_reading(start: bytes, rest: bytes) -> None:
    size = sized(start + rest)

    assert size is None or min(size) > 0
