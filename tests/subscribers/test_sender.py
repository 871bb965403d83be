"""One attempt to notify, against real servers: what is sent, and what each way to answer or not to answer means."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from service.db.engine import Database as GatewayDatabase
from service.db.engine import NetworkCallInTransaction
from service.settings import Settings
from service.subscribers.guard import Guard
from service.subscribers.retry import Answer as Came
from service.subscribers.sender import open_sender
from tests.support.receiver import Answer, Receiver

LOOPBACK = ("127.0.0.0/8",)
BODY = b'{"type":"task.succeeded"}'


async def send(url: str, *, allow: tuple[str, ...] = LOOPBACK, timeout_s: float = 5.0) -> Came:
    settings = Settings(outbound_allow=allow, delivery_timeout_s=timeout_s, delivery_connect_timeout_s=timeout_s)
    async with open_sender(settings, Guard.of(settings)) as sender:
        return await sender.send(url, {"webhook-id": "evt_1"}, BODY)


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Sends these bytes to whoever connects, whatever was asked, and closes when the client does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                with suppress(ConnectionResetError):  # the client may close with bytes of ours unread
                    connection.recv(65536)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


async def test_the_body_arrives_byte_for_byte_as_json_with_our_headers(receiver: Receiver) -> None:
    came = await send(receiver.url + "?token=abc")

    (request,) = receiver.received()
    assert (request.method, request.path, request.body) == ("POST", "/hook?token=abc", BODY)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["webhook-id"] == "evt_1"
    assert (came.status, came.error_class) == (204, None)


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
async def test_a_refusal_is_a_failure_of_class_http(receiver: Receiver, status: int) -> None:
    receiver.answer(Answer(status=status, body=b"no"))

    came = await send(receiver.url)

    assert (came.status, came.error_class, came.body) == (status, "http", b"no")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver, status: int) -> None:
    with Receiver() as elsewhere:
        receiver.answer(Answer(status=status, headers={"Location": elsewhere.url}))

        came = await send(receiver.url)

        assert (came.status, came.error_class) == (status, "http")
        assert elsewhere.received() == []


async def test_a_retry_after_is_read(receiver: Receiver) -> None:
    receiver.answer(Answer(status=429, headers={"Retry-After": "120"}))

    assert (await send(receiver.url)).retry_after_s == 120


async def test_four_kilobytes_of_a_long_answer_are_kept(receiver: Receiver) -> None:
    receiver.answer(Answer(status=500, body=b"x" * 5_000_000))

    assert (await send(receiver.url)).body == b"x" * 4096


async def test_an_answer_that_claims_to_be_compressed_is_not_unpacked(receiver: Receiver) -> None:
    receiver.answer(Answer(status=200, headers={"Content-Encoding": "gzip"}, body=b"not gzip at all"))

    came = await send(receiver.url)

    assert (came.error_class, came.body) == (None, b"not gzip at all")


async def test_no_answer_in_time_is_a_timeout(receiver: Receiver) -> None:
    receiver.answer(Answer(ending="hang"))

    came = await send(receiver.url, timeout_s=0.2)

    assert (came.status, came.error_class) == (None, "timeout")


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_connection_that_ends_without_an_answer_is_of_class_http(receiver: Receiver, ending: str) -> None:
    receiver.answer(then=Answer(ending=ending))  # type: ignore[arg-type]

    came = await send(receiver.url)

    assert (came.status, came.error_class) == (None, "http")
    assert len(receiver.received()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="not http"),
        pytest.param(b"HTTP/1.1 99999 Strange\r\n\r\n", id="an impossible status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", id="an endless header"),
        pytest.param(b"HTTP/1.1 500 No\x00\xff\r\nContent-Length: 1\r\n\r\nx", id="bytes that are no text"),
        pytest.param(b"HTTP/1.1 500 No\r\nRetry-After: \xff\xfe\r\nContent-Length: 0\r\n\r\n", id="a strange header"),
        pytest.param(b"HTTP/1.1 500 No\r\nSet-Cookie: \x01=;;;\r\nContent-Length: 0\r\n\r\n", id="a strange cookie"),
    ],
)
async def test_nonsense_is_a_failure_of_class_http_and_never_an_exception(answer: bytes) -> None:
    with raw_server(answer) as url:
        came = await send(url)

    assert came.error_class == "http"
    assert "\x00" not in (came.error or "")


async def test_a_taken_notification_counts_even_if_the_rest_of_the_answer_never_comes() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok") as url:
        came = await send(url, timeout_s=0.3)

    assert (came.status, came.error_class) == (200, None)


async def test_a_closed_port_is_of_class_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    came = await send(f"http://127.0.0.1:{port}/")

    assert (came.status, came.error_class) == (None, "connect")


async def test_a_server_without_tls_is_of_class_tls(receiver: Receiver) -> None:
    came = await send(receiver.url.replace("http:", "https:"))

    assert came.error_class == "tls"


async def test_a_name_that_does_not_exist_is_of_class_dns() -> None:
    assert (await send("http://no-such-name.invalid/hook", allow=("*",))).error_class == "dns"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_address_that_is_dialled_is_checked_whatever_was_registered(receiver: Receiver, host: str) -> None:
    came = await send(receiver.url.replace("127.0.0.1", host), allow=("10.0.0.0/8", "*", ".localhost", "localhost"))

    assert (came.status, came.error_class) == (None, "guard")
    assert receiver.received() == []


async def test_a_name_is_dialled_at_the_allowed_ones_of_its_addresses(receiver: Receiver) -> None:
    came = await send(receiver.url.replace("127.0.0.1", "localhost"))

    assert came.error_class is None


@pytest.mark.parametrize("url", ["http://2130706433/", "http://127.1/", "ftp://127.0.0.1/", "nonsense", ""])
async def test_a_stored_url_that_cannot_be_read_is_stopped_by_the_guard(url: str) -> None:
    assert (await send(url)).error_class == "guard"


async def test_proxy_settings_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)

        assert (await send(receiver.url)).error_class is None
        assert proxy.received() == []


async def test_connections_are_kept_and_cookies_are_not() -> None:
    requests: list[list[bytes]] = []  # per connection

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append([])
        with suppress(asyncio.IncompleteReadError):
            while True:
                requests[-1].append(await reader.readuntil(BODY))
                writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    settings = Settings(outbound_allow=LOOPBACK)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with open_sender(settings, Guard.of(settings)) as sender:
            for _ in range(3):
                await sender.send(url, {}, BODY)

    assert [len(each) for each in requests] == [3]
    assert not any(b"session" in request for request in requests[0])


async def test_sending_inside_of_a_transaction_is_refused(
    receiver: Receiver, gateway_database: GatewayDatabase
) -> None:
    async with gateway_database.transaction():
        with pytest.raises(NetworkCallInTransaction):
            await send(receiver.url)

    assert receiver.received() == []


async def test_a_body_that_does_not_come_keeps_the_place_no_longer_than_a_few_seconds() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf") as url:
        async with asyncio.timeout(6):
            came = await send(url, timeout_s=30.0)

    assert (came.status, came.error_class) == (200, None)
