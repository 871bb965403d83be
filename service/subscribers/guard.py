"""Where we may call: the operator's allow-list, asked when a URL is registered and again about each address dialled."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from service.db.engine import forbid_in_transaction
from service.errors import FieldError, InvalidRequest
from service.settings import Settings
from service.settings.kinds import Network
from service.subscribers.addresses import Address, embedded, is_forbidden
from service.subscribers.target_url import TargetUrl, UnreadableUrl, read_target_url

LOOKUP_TIMEOUT_S = 2.0

# Names under which clouds serve credentials; for a clear answer at registration, their addresses are closed anyway.
_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
        "metadata.platformequinix.com",
        "api.metadata.cloud.ibm.com",
        "rancher-metadata",
        "instance-data",
        "instance-data.ec2.internal",
    }
)

# The addresses of a host name; raises OSError when it has none.
Lookup = Callable[[str], Awaitable[tuple[Address, ...]]]


async def look_up(host: str) -> tuple[Address, ...]:
    """What the system's resolver answers."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(ip_address(sockaddr[0]) for *_, sockaddr in found)


@dataclass(frozen=True, slots=True)
class Guard:
    """The allow-list: networks open their addresses whatever the name, host names and `*` open public addresses.

    So a partner whose name is allowed cannot point it at a private address, and loopback is open only where a loopback
    network is listed. `lookup` serves registration only; what a send dials is looked up by the sender.
    """

    networks: tuple[Network, ...]
    suffixes: tuple[str, ...]
    any_public: bool
    lookup: Lookup = look_up

    @classmethod
    def of(cls, settings: Settings, lookup: Lookup = look_up) -> Self:
        """The guard that the settings describe."""
        return cls(settings.outbound_networks, settings.outbound_suffixes, "*" in settings.outbound_allow, lookup)

    def check_url(self, url: str, field: str = "callback_url") -> str:
        """The URL as it is to be stored and called. Raises InvalidRequest that names `field`.

        Names are not looked up here: what they resolve to can change, so the address that is dialled decides.
        """
        try:
            target = read_target_url(url)
        except UnreadableUrl as exc:
            raise InvalidRequest(FieldError(field, str(exc))) from exc
        if not self._may_register(target):
            raise _not_allowed(field, target.host)
        return target.url

    async def check_lookup(self, url: str, field: str = "callback_url") -> None:
        """Look up a checked URL's host; raise InvalidRequest if no address of it may be called.

        For a clear answer at registration only. A name that cannot be looked up now passes: the dial decides.
        """
        target = read_target_url(url)
        addresses = await self._addresses(target.host) if target.address is None else ()
        if addresses and not any(self.address_allowed(each, target.host) for each in addresses):
            raise _not_allowed(field, target.host)

    def address_allowed(self, address: Address, host: str = "") -> bool:
        """Whether a connection to `address` may be opened, for a URL whose host is `host`."""
        if inner := embedded(address):
            return all(self.address_allowed(each, host) for each in inner)
        if address.is_loopback:
            return any(network.is_loopback and address in network for network in self.networks)
        if is_forbidden(address):
            return False
        if any(address in network for network in self.networks):
            return True
        return address.is_global and (self.any_public or self._names(host))

    def _may_register(self, target: TargetUrl) -> bool:
        if target.address is not None:
            return self.address_allowed(target.address)
        if target.host in _METADATA_NAMES:
            return False
        if target.host == "localhost" or target.host.endswith(".localhost"):
            return any(network.is_loopback for network in self.networks)
        return bool(self.networks) or self.any_public or self._names(target.host)

    async def _addresses(self, host: str) -> tuple[Address, ...]:
        forbid_in_transaction()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                return await self.lookup(host)
        except (OSError, UnicodeError, TimeoutError):
            return ()

    def _names(self, host: str) -> bool:
        return any(host.endswith(entry) if entry.startswith(".") else host == entry for entry in self.suffixes)


def _not_allowed(field: str, host: str) -> InvalidRequest:
    advice = "ask the operator to add it to GATEWAY_OUTBOUND_ALLOW"
    return InvalidRequest(FieldError(field, f"notifications may not be sent to {host}; if they should be, {advice}"))
