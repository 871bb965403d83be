"""A name server on loopback that lies as a test tells it to, and the two ways in which the gateway asks it."""

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from aiohttp.abc import AbstractResolver, ResolveResult

TTL_S = 0

# What a name is at one time: addresses, and names that it is another word for.
Answer = Sequence[str]


class NameServer(asyncio.DatagramProtocol):
    """Each name has one answer after the other, of which the last one stays; a name without answers does not exist.

    An entry that is no address is a CNAME, whose own answer follows in the same packet.
    """

    def __init__(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        self.asked: Counter[str] = Counter()
        self._answers = answers
        self._transport: asyncio.DatagramTransport | None = None
        self._resolver = dns.asyncresolver.Resolver(configure=False)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self._resolver.nameservers = ["127.0.0.1"]
        self._resolver.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport is not None
        self._transport.close()

    async def look_up(self, host: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses of a name, as this server gives them now; both kinds are asked for by one question."""
        try:
            found = await self._resolver.resolve(host, "A", raise_on_no_answer=False, search=False)
        except dns.exception.DNSException as exc:
            raise socket.gaierror(socket.EAI_NONAME, "the name does not exist") from exc
        records = [record for rrset in found.response.answer for record in rrset]
        return tuple(ip_address(record.address) for record in records if hasattr(record, "address"))

    def datagram_received(self, packet: bytes, address: tuple[str, int]) -> None:
        """Answer one question."""
        question = dns.message.from_wire(packet)
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        entries = self._now(name)
        answer.set_rcode(dns.rcode.NOERROR if entries else dns.rcode.NXDOMAIN)
        answer.answer = self._records(name, entries)
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), address)

    def _now(self, name: str) -> Answer:
        series = self._answers.get(name, [])
        self.asked[name] += 1
        return series[min(self.asked[name], len(series)) - 1] if series else ()

    def _records(self, name: str, entries: Answer) -> list[dns.rrset.RRset]:
        records = []
        for entry in entries:
            kind = _kind(entry)
            shown = f"{entry}." if kind == "CNAME" else entry
            records.append(dns.rrset.from_text(f"{name}.", TTL_S, "IN", kind, shown))
            if kind == "CNAME":
                records += self._records(entry, self._now(entry))
        return records


class Resolver(AbstractResolver):
    """The same for an HTTP client."""

    def __init__(self, server: NameServer) -> None:
        self._server = server

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """What the client may dial."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET6 if address.version == 6 else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._server.look_up(host)
        ]

    async def close(self) -> None:
        """Nothing is open."""


def _kind(entry: str) -> str:
    try:
        return "AAAA" if ip_address(entry).version == 6 else "A"
    except ValueError:
        return "CNAME"
