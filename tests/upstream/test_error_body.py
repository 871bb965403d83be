"""Every shape of error on record becomes one code, one readable message, one waiting time."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.upstream.wire import ErrorBody, read_error

SHAPES = {
    "message": ({"success": False, "message": "no"}, None, "no"),
    "error text": ({"success": False, "error": "no"}, None, "no"),
    "error object": ({"error": {"message": "no", "type": "bad_model"}}, "bad_model", "no"),
    "code and message": ({"success": False, "code": "server_busy", "message": "no"}, "server_busy", "no"),
    "error_message": ({"error_message": "no"}, None, "no"),
    "list of objects": (
        {"errors": [{"field": "prompt", "message": "no"}, {"message": "nor"}]},
        None,
        "prompt: no; nor",
    ),
    "list of texts": ({"errors": ["no", "nor"]}, None, "no; nor"),
    "message and list": ({"message": "invalid", "errors": [{"field": "n", "message": "no"}]}, None, "invalid; n: no"),
    "detail": ({"detail": "no"}, None, "no"),
    "nothing known": ({"oops": 1}, None, "HTTP 500 Internal Server Error"),
}


@pytest.mark.parametrize(("body", "code", "message"), SHAPES.values(), ids=SHAPES)
def test_every_known_shape_is_read(body: object, code: str | None, message: str) -> None:
    assert read_error(500, {}, orjson.dumps(body)) == ErrorBody(code, message, None, is_api=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!DOCTYPE html><html><head><title>\n 502 Bad\nGateway &amp; co </title>", "502 Bad Gateway & co"),
        (b"<html><body>no title</body></html>", "HTTP 502 Bad Gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b"", "HTTP 502 Bad Gateway"),
        (b"\xff\xfe\x00", "HTTP 502 Bad Gateway"),
    ],
    ids=["HTML", "HTML without title", "text", "nothing", "no text"],
)
def test_a_proxys_page_becomes_one_line(body: bytes, message: str) -> None:
    found = read_error(502, {}, body)

    assert found.is_api is False
    assert found.message.replace("\ufffd", "") in {message, ""}


def test_a_long_message_is_cut() -> None:
    assert len(read_error(500, {}, orjson.dumps({"message": "x" * 5_000})).message) == 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": "999999999"}, 86_400),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
    ids=["seconds", "a fraction", "an age", "a date", "a date gone by", "a word", "nothing"],
)
def test_the_wait_is_seconds_however_it_is_written(headers: dict[str, str], seconds: float | None) -> None:
    assert read_error(429, headers, b"").retry_after_s == seconds


@given(status=st.integers(0, 999), body=st.binary(max_size=300), retry_after=st.text(max_size=40))
def test_no_bytes_break_the_reading(status: int, body: bytes, retry_after: str) -> None:
    found = read_error(status, {"Retry-After": retry_after, "Date": retry_after}, body)

    assert found.message
    assert found.message.isprintable()
