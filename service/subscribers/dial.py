"""Sockets that open only where the guard allows, for every HTTP client whose URLs somebody else chose."""

import socket
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import ip_address

from aiohttp.connector import AddrInfoType

from service.subscribers.guard import Guard

# The host of the URL being called, for the check of the address: aiohttp dials in the context of the request. Where it
# is unknown the guard is at its strictest.
_host: ContextVar[str] = ContextVar("host", default="")


class ForbiddenAddress(OSError):
    """The guard does not allow the address that was about to be dialled."""

    def __init__(self) -> None:
        # Always the same words: of several failures with the same text aiohttp passes on the first as it is.
        super().__init__("the address is not on the operator's allow-list")


def dial_for(host: str) -> None:
    """Say whose address this task is about to dial; call it before each request, with the host as it is guarded."""
    _host.set(host)


def guarded_sockets(guard: Guard) -> Callable[[AddrInfoType], socket.socket]:
    """What a connector takes as its socket factory: it judges the very address that is connected to."""

    def guarded_socket(addr_info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, sockaddr = addr_info
        if not guard.address_allowed(ip_address(sockaddr[0]), _host.get()):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    return guarded_socket
