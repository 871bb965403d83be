"""However a body arrives, and whatever it holds, the form reader gives the same answer or a problem of ours."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import BadRequest, BodyTooLarge, InvalidRequest
from service.uploads.multipart import read_form
from tests.uploads.forms import (
    BOUNDARY,
    CONTENT_TYPE,
    LIMITS,
    body_of,
    chunks,
    file_part,
    image,
    read,
    spool_file,
    text_part,
)

pytestmark = pytest.mark.anyio

TRICKY = image("JPEG") + b"\r\n--front\r\n--frontie\r\n\r\n--" + bytes(3_000) + b"\r"
BODY = body_of(text_part("prompt", "a\r\n--frontie\r\nb"), file_part(TRICKY), text_part("n", ""), file_part(image()))
CUTS = st.lists(st.integers(0, len(BODY)), max_size=40)
FRAGMENTS = [
    b"\r\n", b"--", b": ", b"\x89PNG\r\n\x1a\n", b"Content-Disposition: ", b"form-data; name=", b'form-data; name="a"',
    b'; filename="', f"--{BOUNDARY}".encode(), f"\r\n--{BOUNDARY}--".encode(), text_part("b", "x"), file_part(image()),
]  # fmt: skip
NOISE = st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(FRAGMENTS)), max_size=30)


@settings(deadline=None, max_examples=150)
@given(cuts=CUTS)
async def test_the_form_does_not_depend_on_how_the_body_is_cut(cuts: list[int]) -> None:
    whole = await read(BODY)
    edges = [0, *sorted(cuts), len(BODY)]

    with spool_file() as spool:
        pieces = [BODY[start:end] for start, end in pairwise(edges)]
        form = await read_form(CONTENT_TYPE, chunks(pieces), spool, LIMITS)

    assert form == whole


async def test_the_form_is_the_same_byte_by_byte() -> None:
    with spool_file() as spool:
        form = await read_form(CONTENT_TYPE, chunks([bytes([byte]) for byte in BODY]), spool, LIMITS)

    assert form == await read(BODY)


@settings(deadline=None, max_examples=300)
@given(noise=NOISE, content_type=st.one_of(st.just(CONTENT_TYPE), st.text(max_size=60)))
async def test_garbage_is_the_senders_problem_and_never_breaks_the_reader(
    noise: list[bytes], content_type: str
) -> None:
    with spool_file() as spool, suppress(BadRequest, BodyTooLarge, InvalidRequest):
        await read_form(content_type, chunks(noise), spool, LIMITS)
