"""A webhook receiver as a client team would write it: the public `standardwebhooks` library checks every signature."""

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

READ_TIMEOUT_S = 10


@dataclass(frozen=True)
class Notification:
    """One verified notification; `task` is as GET /api/v1/tasks/{id} shows it."""

    type: str
    task: Mapping[str, Any]
    arrived_at: datetime


@dataclass(frozen=True)
class Refused:
    """Something that came without a signature of ours."""

    reason: str


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of loopback; nothing is taken before it has the secret."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.url = f"http://127.0.0.1:{self.server_port}/notifications"
        self._secret = ""
        self._arrived: queue.Queue[Notification | Refused] = queue.Queue()

    def trust(self, secret: str) -> None:
        """Take what is signed with this secret, as the answer to creating the subscription told it."""
        self._secret = secret

    def next(self, within_s: float) -> Notification | Refused | None:
        """What arrived first of what nobody has seen yet; None when nothing does in time."""
        try:
            return self._arrived.get(timeout=max(0.0, within_s))
        except queue.Empty:
            return None

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """The status to answer with: 204 for what is signed, 401 for anything else, 503 while there is no secret."""
        if not self._secret:
            return 503
        try:
            Webhook(self._secret).verify(body, dict(headers), json_parse=False)
            event = json.loads(body)
        except (WebhookVerificationError, ValueError, RuntimeError) as exc:
            self._arrived.put(Refused(str(exc)))
            return 401
        self._arrived.put(Notification(event["type"], event["data"], datetime.now(UTC)))
        return 204


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that answers for as long as the block runs."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = READ_TIMEOUT_S
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.receive(dict(self.headers.items()), body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing: what arrived is told by whoever waits for it."""
