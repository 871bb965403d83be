"""A real webhook receiver on loopback: keeps every request as it came, answers as the test told it to."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest


@dataclass(frozen=True)
class Answer:
    """What the receiver does with a request; `hang` answers only when the receiver ends."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    ending: Literal["answer", "hang", "close", "reset"] = "answer"


@dataclass(frozen=True)
class Received:
    """One request, byte for byte; `arrived_at_s` is a reading of time.monotonic()."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    arrived_at_s: float


class Receiver:
    """Collects webhooks; answers 204 unless told otherwise."""

    def __init__(self) -> None:
        self._arrival = threading.Condition()
        self._received: list[Received] = []
        self._script: list[Answer] = []
        self._answer = Answer()
        self._ended = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receive, self._server.ended = self._receive, self._ended
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, *script: Answer, then: Answer | None = None) -> None:
        """Answer the coming requests one by one as the script says, and all later ones with `then` (default: 204)."""
        with self._arrival:
            self._script = list(script)
            self._answer = then or Answer()

    def received(self) -> list[Received]:
        """Every request so far, in the order of arrival."""
        with self._arrival:
            return list(self._received)

    def wait_for(
        self, count: int, *, timeout_s: float = 30.0, where: Callable[[Received], bool] = lambda _: True
    ) -> list[Received]:
        """The requests that fit `where`, as soon as there are `count` of them; fails when they do not come in time."""
        with self._arrival:
            came = self._arrival.wait_for(lambda: sum(map(where, self._received)) >= count, timeout_s)
            matching = [each for each in self._received if where(each)]
            assert came, f"{len(matching)} of {count} requests within {timeout_s:g} s; all: {self._received}"
            return matching

    def _receive(self, request: Received) -> Answer:
        with self._arrival:
            self._received.append(request)
            self._arrival.notify_all()
            return self._script.pop(0) if self._script else self._answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    receive: Callable[[Received], Answer]
    ended: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that goes away is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing: failures show what was received."""

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.receive(
            Received(self.command, self.path, dict(self.headers.items()), body, time.monotonic())
        )
        self.server.ended.wait(answer.delay_s)
        if answer.ending == "answer":
            self._send(answer)
        else:
            self._break_off(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.status not in {204, 304}:
            self.wfile.write(answer.body)

    def _break_off(self, answer: Answer) -> None:
        self.close_connection = True
        if answer.ending == "hang":
            self.server.ended.wait()
        elif answer.ending == "reset":  # closing with no time to linger sends RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    do_POST = do_GET = do_PUT = do_HEAD = _take  # noqa: N815 - the base class looks for these names


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver of this test; for more, `with Receiver() as second`."""
    with Receiver() as receiver:
        yield receiver
