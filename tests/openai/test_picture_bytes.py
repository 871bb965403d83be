"""Pictures come in base64 bit by bit, and when they cannot be fetched nothing is paid twice for it."""

import base64
from collections.abc import AsyncIterator, Sequence

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.surfaces.openai.picture_bytes import PIECE_BYTES, hold
from service.uploads.spool import Spool
from tests.openai.library import creates, decoded, generate, library
from tests.support.gateway import Gateway
from tests.support.sandbox import Sandbox

NOBODY_MAY_FETCH = {"image_forbidden_agent": "gateway"}


async def coming(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@given(st.lists(st.binary(max_size=64), max_size=5), st.integers(0, 2 * PIECE_BYTES + 3))
async def test_the_pieces_are_the_base64_of_the_whole_and_small(chunks: list[bytes], filler_bytes: int) -> None:
    chunks = [*chunks, b"x" * filler_bytes]
    spool = Spool(None, 1_000_000)
    with spool.open() as file:
        before = await hold(file, "image/png", coming([b"another picture"]))
        held = await hold(file, "image/webp", coming(chunks))

        pieces = [piece async for piece in held.base64()]

    assert b"".join(pieces) == base64.b64encode(b"".join(chunks))
    assert held.base64_bytes == sum(map(len, pieces))
    assert all(len(piece) <= 64 * 1024 for piece in pieces)
    assert before.size_bytes == len(b"another picture")
    spool.close()


def test_bytes_that_cannot_be_fetched_are_an_error_that_names_the_task_and_the_next_request_has_them(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods(NOBODY_MAY_FETCH)
    with library(gateway.url) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            generate(client, response_format="b64_json")
        sandbox.moods({"image_forbidden_agent": ""})

        answer = generate(client, response_format="b64_json")

    assert (answer.model_extra or {})["task_id"] in str(caught.value)
    assert decoded((answer.data or [])[0]).format == "PNG"
    assert creates(sandbox) == 1


def test_bytes_that_nobody_asked_for_are_left_out_when_they_cannot_be_fetched(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    sandbox.moods(NOBODY_MAY_FETCH)

    with library(gateway.url) as client:
        [image] = generate(client, response_format=openai.omit).data or []

    assert image.url
    assert image.b64_json is None
    assert creates(sandbox) == 1
