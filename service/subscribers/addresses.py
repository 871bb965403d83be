"""Which IP addresses no allow-list can open, and which IPv4 address hides in an IPv6 one; pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Where clouds serve credentials to whoever asks; several lie in ranges that an operator may well have allowed.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, OpenStack and most others
        "169.254.170.2",  # AWS ECS
        "169.254.170.23",  # AWS EKS
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's wire server, in public address space
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS EKS
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
        "fd00:a9fe:a9fe::254",  # Oracle, OpenStack deployments
    )
)

_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "64:ff9b:1::/48",  # NAT64 with a prefix of local choice: what is inside cannot be told
        "::ffff:0:0:0/96",  # IPv4 translated (SIIT)
    )
)

_NAT64 = ip_network("64:ff9b::/96")
_LOW_32_BITS = 0xFFFF_FFFF
_ISATAP = 0x5EFE


def is_forbidden(address: Address) -> bool:
    """Whether nobody may have us call this address: link-local, metadata, multicast, unspecified, reserved, obsolete.

    Loopback is not judged here, since an operator can open it on purpose.
    """
    if address.is_loopback:
        return False
    return (
        address in _METADATA
        or address.is_multicast
        or address.is_unspecified
        or address.is_link_local
        or address.is_reserved
        or any(address in network for network in _NEVER)
        or (isinstance(address, IPv6Address) and (address.is_site_local or _is_isatap(address)))
    )


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that a mapped, NAT64, 6to4 or Teredo address would really reach; empty for all others."""
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & _LOW_32_BITS),)
    if address.sixtofour:
        return (address.sixtofour,)
    return address.teredo or ()


def _is_isatap(address: IPv6Address) -> bool:
    marker = int(address) >> 32 & _LOW_32_BITS
    return marker & ~0x0200_0000 == _ISATAP  # the bit tells globally unique interfaces from others
