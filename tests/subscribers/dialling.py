"""Which addresses this process dials: seen by the interpreter itself, whatever library does it."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LISTENERS: list[list[object]] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and _LISTENERS:
        dialled, address = arguments
        if isinstance(dialled, socket.socket) and dialled.type == socket.SOCK_STREAM:
            for each in _LISTENERS:
                each.append(address)


sys.addaudithook(_hear)  # for good, since a hook cannot be taken away; without listeners it does nothing


@contextmanager
def dialled_addresses() -> Iterator[list[object]]:
    """The addresses to which a TCP connection was tried within the block, as it goes."""
    heard: list[object] = []
    _LISTENERS.append(heard)
    try:
        yield heard
    finally:
        _LISTENERS.remove(heard)
