"""A bare socket client: sends exact bytes and tells whether the connection ended with FIN or RST."""

import socket
from typing import Literal
from urllib.parse import urlsplit

from tests.sandbox.orders import CREATE, MODEL
from tests.support.sandbox import API_KEY

End = Literal["FIN", "RST", "silence"]
BODY = (
    '--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na lighthouse\r\n'
    f'--b\r\nContent-Disposition: form-data; name="model_id"\r\n\r\n{MODEL}\r\n--b--\r\n'
).encode()


def create_head(body_bytes: int = len(BODY)) -> bytes:
    """Request line and headers of a create whose body has so many bytes."""
    return (
        f"POST {CREATE} HTTP/1.1\r\nHost: sandbox\r\nxi-api-key: {API_KEY}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {body_bytes}\r\n\r\n"
    ).encode()


def get_head(path: str) -> bytes:
    """A whole GET."""
    return f"GET {path} HTTP/1.1\r\nHost: sandbox\r\nxi-api-key: {API_KEY}\r\n\r\n".encode()


class Wire:
    """One TCP connection to the sandbox."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.socket()
        self._socket.settimeout(5)
        self._end: End | None = None
        try:
            self._socket.connect((address.hostname, address.port or 0))
        except ConnectionResetError:
            self._end = "RST"
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *chunks: bytes) -> None:
        """Send these bytes; a connection that is gone already is found out by `end`."""
        try:
            self._socket.sendall(b"".join(chunks))
        except ConnectionError:
            return

    def answer(self) -> bytes:
        """One whole answer with a Content-Length."""
        came = b""
        while b"\r\n\r\n" not in came:
            came += self._socket.recv(65536)
        head, _, body = came.partition(b"\r\n\r\n")
        missing = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
        while missing > 0:
            came += (chunk := self._socket.recv(missing))
            missing -= len(chunk)
        return came

    def end(self, *, wait_s: float = 5.0) -> tuple[bytes, End]:
        """Everything that comes until the connection ends, and how it ends."""
        if self._end:
            return b"", self._end
        self._socket.settimeout(wait_s)
        came = b""
        try:
            while chunk := self._socket.recv(65536):
                came += chunk
        except ConnectionResetError:
            return came, "RST"
        except TimeoutError:
            return came, "silence"
        return came, "FIN"
