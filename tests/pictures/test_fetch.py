"""Pictures are fetched from where the operator allows it, and only pictures, however hostile the server is."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from socket import AF_INET, IPPROTO_TCP, SOCK_STREAM
from typing import Any

import pytest

from service.pictures.errors import ImageTimeout, ImageUnavailable
from service.pictures.fetch import Picture, PictureCut, open_pictures
from service.settings import Settings
from service.subscribers.dial import guarded_sockets
from service.subscribers.guard import Guard
from tests.pictures import cdn
from tests.upstream.raw_server import Behaviour, answering, raw_server

MAX_BYTES = 500_000


@asynccontextmanager
async def fetched(behave: Behaviour, **changes: Any) -> AsyncIterator[Picture]:
    settings: dict[str, Any] = {
        "image_allow": ("127.0.0.0/8",),
        "image_max_bytes": MAX_BYTES,
        "upstream_read_timeout_s": 0.3,
        "upstream_connect_timeout_s": 0.3,
    }
    async with raw_server(behave) as server, open_pictures(Settings(**(settings | changes))) as pictures:
        picture = await pictures.fetch(f"{server.url}/abc123/img_001.png?dl=1")
        yield picture
        picture.close()


async def received(picture: Picture, passed: bytearray | None = None) -> bytes:
    """The picture read to its end; what has come of it is also in `passed`, should it break off."""
    whole = bytearray() if passed is None else passed
    async with aclosing(picture.chunks()) as chunks:
        async for chunk in chunks:
            whole += chunk
    return bytes(whole)


@pytest.mark.parametrize(
    "behave",
    [
        answering(200, cdn.PICTURE, cdn.PNG),
        cdn.redirecting_here,
        cdn.only_for_browsers,
        cdn.announcing(len(cdn.PICTURE)),
    ],
    ids=["plain", "redirect to another path", "only for browsers", "closing after it"],
)
async def test_a_picture_comes_byte_for_byte(behave: Behaviour) -> None:
    async with fetched(behave) as picture:
        whole = await received(picture)

    assert whole == cdn.PICTURE
    assert (picture.content_type, picture.size_bytes) == ("image/png", len(cdn.PICTURE))


async def test_the_type_is_what_the_bytes_are_and_not_what_is_claimed() -> None:
    async with fetched(answering(200, cdn.PICTURE, "Content-Type: text/html\r\n")) as picture:
        assert picture.content_type == "image/png"


async def test_a_picture_shorter_than_any_header_still_comes() -> None:
    tiny = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"

    async with fetched(answering(200, tiny)) as picture:
        assert (await received(picture), picture.content_type) == (tiny, "image/gif")


@pytest.mark.parametrize(
    ("behave", "told"),
    [
        (cdn.redirecting("http://169.254.169.254/latest/meta-data/"), "GATEWAY_IMAGE_ALLOW"),
        (cdn.redirecting("http://10.0.0.7/picture.png"), "GATEWAY_IMAGE_ALLOW"),
        (cdn.redirecting("http://[::ffff:169.254.169.254]/"), "cannot be called"),
        (cdn.redirecting("ftp://127.0.0.1/picture.png"), "cannot be called"),
        (cdn.redirecting("file:///etc/passwd"), "cannot be called"),
        (cdn.redirecting("http://user:password@127.0.0.1/"), "cannot be called"),
        (cdn.redirecting("/again"), "from one address to the next"),
        (answering(302, b""), "302"),
        (answering(403, b"<html>no</html>"), "403"),
        (answering(404, b""), "404"),
        (answering(206, cdn.PICTURE, cdn.PNG), "206"),
        (answering(304, b""), "304"),
        (answering(200, b"<html>hello</html>" * 10, cdn.PNG), "no picture"),
        (answering(200, cdn.SVG, "Content-Type: image/svg+xml\r\n"), "no picture"),
        (answering(200, b"\x1f\x8b" + b"\0" * 100, "Content-Encoding: gzip\r\n"), "no picture"),
        (answering(200, b""), "no picture"),
        (cdn.announcing(10**12), "more than 500,000 bytes"),
        (cdn.announcing(1000), "could not be fetched"),
        (cdn.closing, "could not be fetched"),
        (cdn.garbage, "could not be fetched"),
    ],
    ids=[
        "redirect to metadata",
        "redirect to a private address",
        "redirect to a mapped address",
        "redirect to ftp",
        "redirect to a file",
        "redirect with a password",
        "redirect without end",
        "redirect to nowhere",
        "forbidden",
        "gone",
        "a part",
        "not modified",
        "HTML",
        "SVG",
        "compressed",
        "nothing",
        "announced too large",
        "more than announced",
        "hangs up",
        "no HTTP",
    ],
)
async def test_what_is_no_picture_is_refused_before_a_byte_is_passed_on(behave: Behaviour, told: str) -> None:
    with pytest.raises(ImageUnavailable, match=told):
        async with fetched(behave):
            pass


async def test_the_status_of_a_refusal_is_told() -> None:
    with pytest.raises(ImageUnavailable) as refused:
        async with fetched(answering(410, b"")):
            pass

    assert refused.value.upstream_status == 410


async def test_an_address_that_is_not_allowed_is_never_called() -> None:
    async with raw_server(answering(200, cdn.PICTURE)) as server, open_pictures(Settings()) as pictures:
        with pytest.raises(ImageUnavailable, match="GATEWAY_IMAGE_ALLOW"):
            await pictures.fetch(f"{server.url}/picture.png")

        assert server.connections == []


async def test_the_guard_knows_whose_address_is_dialled() -> None:
    async with (
        raw_server(answering(200, cdn.PICTURE), host="127.0.0.1") as server,
        open_pictures(Settings(image_allow=("127.0.0.0/8",))) as pictures,
    ):
        (await pictures.fetch(server.url.replace("127.0.0.1", "localhost"))).close()

    guard = Guard(networks=(), suffixes=("localhost",), any_public=False)
    guarded_sockets(guard)((AF_INET, SOCK_STREAM, IPPROTO_TCP, "", ("8.8.8.8", 443))).close()


async def test_a_silent_server_is_given_up_in_time() -> None:
    with pytest.raises(ImageTimeout):
        async with fetched(cdn.silent):
            pass


@pytest.mark.parametrize(
    ("behave", "most_bytes"),
    [(cdn.endless, MAX_BYTES), (cdn.stopping_midway, 1000), (cdn.announcing(len(cdn.PICTURE) + 1), len(cdn.PICTURE))],
    ids=["endless", "stops midway", "announces more than it sends"],
)
async def test_a_picture_that_does_not_end_as_it_should_is_cut(behave: Behaviour, most_bytes: int) -> None:
    passed = bytearray()

    async with fetched(behave) as picture:
        with pytest.raises(PictureCut):
            await received(picture, passed)

    assert 0 < len(passed) <= most_bytes


async def test_neither_key_nor_cookie_is_shown_to_where_pictures_are_kept() -> None:
    async with (
        raw_server(answering(200, cdn.PICTURE, "Set-Cookie: a=b; Path=/\r\n")) as server,
        open_pictures(Settings(image_allow=("127.0.0.0/8",))) as pictures,
    ):
        for _ in range(2):
            (await pictures.fetch(server.url)).close()

        heads = b"".join(connection.head for connection in server.connections).lower()

    assert b"user-agent: mozilla/5.0" in heads
    assert b"cookie" not in heads
    assert b"authorization" not in heads
