"""Reads a subscriber's URL strictly: one spelling per address, nothing that two parsers read differently; pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

import idna

from service.subscribers.addresses import Address, embedded

MAX_URL_LENGTH = 2000
MAX_HOST_LENGTH = 253

_NOT_PRINTABLE_ASCII = re.compile(r"[^\x21-\x7e]")
_SPACE_OR_CONTROL = re.compile(r"[\s\x00-\x20\x7f-\xa0\\]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label like this makes a name an IPv4 address in some spelling (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class UnreadableUrl(ValueError):
    """The URL cannot be called; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class TargetUrl:
    """A readable URL in its one spelling, its host in lower case without a final dot; its address if it is one."""

    url: str
    host: str
    address: Address | None


@lru_cache(maxsize=1024)  # read before each send, and most notifications go to few addresses
def read_target_url(text: str) -> TargetUrl:
    """The URL in the one spelling that is stored and called. Raises UnreadableUrl."""
    if len(text) > MAX_URL_LENGTH:
        raise UnreadableUrl(f"must have at most {MAX_URL_LENGTH} characters")
    if _SPACE_OR_CONTROL.search(text):
        raise UnreadableUrl("must not contain spaces, control characters or backslashes")
    parts = _split(text)
    host, address = _read_host(parts)
    port = _read_port(parts)
    shown_host = f"[{host}]" if isinstance(address, IPv6Address) else host
    authority = shown_host if port is None else f"{shown_host}:{port}"
    url = parts._replace(netloc=authority, path=parts.path or "/").geturl()
    if _NOT_PRINTABLE_ASCII.search(url):
        raise UnreadableUrl("must percent-encode characters outside of ASCII in its path and query")
    return TargetUrl(url, host, address)


def host_of(url: str) -> str:
    """Host and port of any text for a log line: paths and queries may hold a subscriber's tokens. Never raises."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "unreadable"


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError as exc:
        raise UnreadableUrl("is not a URL such as https://service.example/hook") from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UnreadableUrl("must be an http or https URL with a host, such as https://service.example/hook")
    if "@" in parts.netloc:
        raise UnreadableUrl("must not contain a user name or password")
    if "#" in text:
        raise UnreadableUrl("must not contain a fragment")
    return parts


def _read_port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError as exc:
        raise UnreadableUrl("must have a port from 1 to 65535, or none") from exc
    if port == 0:
        raise UnreadableUrl("must have a port from 1 to 65535, or none")
    return port


def _read_host(parts: SplitResult) -> tuple[str, Address | None]:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        ipv6 = _read_ipv6(host)
        return str(ipv6), ipv6
    name = _ascii_name(host)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        ipv4 = _read_ipv4(name)
        return str(ipv4), ipv4
    if len(name) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UnreadableUrl("must have a valid host name")
    return name, None


def _ascii_name(host: str) -> str:
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except UnicodeError as exc:
        raise UnreadableUrl("must have a valid host name") from exc
    return name.lower().removesuffix(".")


def _read_ipv4(name: str) -> IPv4Address:
    try:
        return IPv4Address(name)
    except AddressValueError as exc:
        raise UnreadableUrl("must write an IPv4 address as four decimal numbers, such as 10.0.0.7") from exc


def _read_ipv6(host: str) -> IPv6Address:
    try:
        address = IPv6Address(host)
    except AddressValueError as exc:
        raise UnreadableUrl("must have a valid IPv6 address in its brackets") from exc
    if address.scope_id is not None:
        raise UnreadableUrl("must not contain an IPv6 zone")
    if embedded(address):
        raise UnreadableUrl("must write an IPv4 address as such, not inside an IPv6 address")
    return address
