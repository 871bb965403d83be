"""What leaves for the upstream: the right key, the whole request in bounded pieces, on the right connection."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.uploads.multipart import Form, FormLimits, read_form
from service.upstream.outcome import Accepted
from service.upstream.submission import CreateRequest, SubmissionBody
from tests.uploads.forms import chunks, image, spool_file
from tests.upstream.builders import API_KEY, make_request, open_client, soon
from tests.upstream.raw_server import Connection, answering, raw_server

pytestmark = pytest.mark.anyio

CREATED = {"success": True, "task_id": "t"}
LIMITS = FormLimits(10_000_000, 10, 100_000)


async def parsed(content_type: str, body: bytes) -> Form:
    """The form as our own reader, which knows nothing of the writer, understands it."""
    with spool_file(100_000_000) as spool:
        return await read_form(content_type, chunks([body]), spool, LIMITS)


async def sent_by(request: CreateRequest) -> Connection:
    async with raw_server(answering(200, CREATED)) as server, open_client(server.url) as client:
        assert await client.create(request, soon()) == Accepted("t")
        return server.connections[0]


async def test_a_create_carries_fields_and_files_in_order() -> None:
    contents = [image("PNG") + bytes(300_000), image("JPEG"), image("WEBP") + bytes(7)]
    with make_request(*contents, prompt="@img1 ü\r\n--", receive_url="https://gw/callbacks/x") as request:
        sent = await sent_by(request)

    form = await parsed(sent.header("content-type") or "", sent.body)
    assert form.fields == [
        ("prompt", "@img1 ü\r\n--"), ("model_id", "some-model"), ("generations_count", "1"),
        ("model_parameters", '{"aspect_ratio":"1:1"}'), ("receive_url", "https://gw/callbacks/x"),
    ]  # fmt: skip
    assert [(asset.filename, asset.sha256) for asset in form.assets] == [
        (asset.filename, asset.sha256) for asset in request.assets
    ]


async def test_what_is_not_asked_for_is_not_sent() -> None:
    sent = await sent_by(CreateRequest("a fox", "m", 2))

    form = await parsed(sent.header("content-type") or "", sent.body)
    assert form.fields == [("prompt", "a fox"), ("model_id", "m"), ("generations_count", "2")]


async def test_a_create_names_its_length_and_never_waits_for_a_continue() -> None:
    with make_request(image()) as request:
        sent = await sent_by(request)

    assert sent.header("content-length") == str(len(sent.body))
    assert sent.header("transfer-encoding") is None
    assert sent.header("expect") is None


@pytest.mark.parametrize(
    ("style", "header", "value"),
    [("bearer", "authorization", f"Bearer {API_KEY}"), ("xi-api-key", "xi-api-key", API_KEY)],
)
async def test_the_key_goes_where_the_operator_says(style: str, header: str, value: str) -> None:
    answer = answering(200, {"credits": 1})
    async with raw_server(answer) as server, open_client(server.url, upstream_auth=style) as client:
        await client.credits()

    assert server.connections[0].header(header) == value


async def test_every_paid_call_has_a_connection_of_its_own_and_reads_share_one() -> None:
    async with raw_server(answering(200, {**CREATED, "credits": 1})) as server, open_client(server.url) as client:
        for _ in range(3):
            await client.create(CreateRequest("a fox", "m", 1), soon())
        paid = len(server.connections)
        for _ in range(3):
            await client.credits()

    assert paid == 3
    assert len(server.connections) == 4


async def test_cookies_of_the_upstream_are_never_sent_back() -> None:
    answer = answering(200, {**CREATED, "credits": 1}, "Set-Cookie: server=7; Path=/\r\n")
    # By name, since aiohttp's own jar keeps no cookies for addresses.
    async with raw_server(answer, host="localhost") as server, open_client(server.url) as client:
        await client.credits()
        await client.create(CreateRequest("a fox", "m", 1), soon())
        await client.create(CreateRequest("a fox", "m", 1), soon())
        await client.credits()

    assert all(connection.header("cookie") is None for connection in server.connections)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answering(500, {})) as proxy, raw_server(answering(200, {**CREATED, "credits": 1})) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with open_client(server.url) as client:
            await client.credits()
            await client.create(CreateRequest("a fox", "m", 1), soon())

    assert proxy.connections == []


async def test_a_redirect_is_not_followed() -> None:
    async with raw_server(answering(200, CREATED)) as elsewhere:
        moved = answering(307, b"", f"Location: {elsewhere.url}/\r\n")
        async with raw_server(moved) as server, open_client(server.url) as client:
            await client.create(CreateRequest("a fox", "m", 1), soon())

    assert elsewhere.connections == []


@settings(deadline=None, max_examples=60)
@given(
    contents=st.lists(st.binary(max_size=300_000), max_size=4),
    prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
)
async def test_the_length_is_exact_and_the_closing_boundary_leaves_last(contents: list[bytes], prompt: str) -> None:
    with make_request(*contents, prompt=prompt) as request:
        body = SubmissionBody(request, time.monotonic() + 60)
        pieces = [piece async for piece in body]

    assert sum(map(len, pieces)) == body.size_bytes
    assert pieces[-1].startswith(b"--")
    assert pieces[-1].endswith(b"--\r\n")
    assert max(map(len, pieces)) <= 64 * 1024


async def test_the_last_chunk_counts_as_handed_over_only_once_it_was_asked_for() -> None:
    with make_request(image()) as request:
        body = SubmissionBody(request, soon())
        reading = aiter(body)
        before_last = [await anext(reading) for _ in range(4)]
        assert body.end() is False

        with pytest.raises(RuntimeError, match="ended"):
            await anext(reading)

    assert len(before_last) == 4
    assert body.end() is False


async def test_a_body_is_never_sent_twice() -> None:
    with make_request() as request:
        body = SubmissionBody(request, soon())
        assert [piece async for piece in body]

        with pytest.raises(RuntimeError, match="twice"):
            await anext(aiter(body))
