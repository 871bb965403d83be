"""The kinds of value that settings have, and how their text is read."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import NoDecode

Network = IPv4Network | IPv6Network
Texts = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
Seconds = Annotated[float, Field(gt=0)]


def parts_of(text: object) -> object:
    """Split `a,b, c` as it stands in an environment variable; anything else is left to pydantic."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def is_network(entry: str) -> bool:
    """Whether it is a network or a single address; anything else is a host name."""
    try:
        ip_network(entry)
    except ValueError:
        return False
    return True


def networks_of(entries: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of an allow-list."""
    return tuple(ip_network(entry) for entry in entries if is_network(entry))


def suffixes_of(entries: tuple[str, ...]) -> tuple[str, ...]:
    """The host names of an allow-list; one that starts with a dot matches every name below it."""
    return tuple(entry.lower() for entry in entries if entry != "*" and not is_network(entry))
