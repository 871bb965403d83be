"""A door in front of the image API that can be shut: connections to it are then neither taken nor refused."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

NOT_TAKEN_AFTER_S = 0.3
CHUNK_BYTES = 65_536


class Relay:
    """Passes every connection on to `url` until it is shut."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._address = self._listener.getsockname()
        self._open = True
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take, daemon=True)
        self.url = f"http://127.0.0.1:{self._address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        with suppress(OSError):
            socket.create_connection(self._address, NOT_TAKEN_AFTER_S).close()
        self._listener.close()
        for each in self._held:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def shut(self) -> None:
        """Take no more connections, and fill the kernel's queue of those that wait to be taken."""
        self._open = False
        self._held.append(socket.create_connection(self._address))
        self._thread.join()
        with suppress(TimeoutError):
            while True:
                self._held.append(socket.create_connection(self._address, NOT_TAKEN_AFTER_S))

    def _take(self) -> None:
        while self._open:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target)
            self._held += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
