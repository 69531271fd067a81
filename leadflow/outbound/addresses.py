"""Where leadflow may call: public addresses, and what the installation allows beside them.

Names are resolved once, every address is tested, and the call goes to an address that was tested. Python's own
`is_private` and `is_global` are each not enough (100.64/10, NAT64, 6to4, multicast), so the networks stand here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# All addresses of a host, as text.
Resolve = Callable[[str, int], list[str]]

MAX_URL_LENGTH = 2_000

# Ports of other protocols that a crafted body could talk to: those that browsers refuse, databases and caches.
REFUSED_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 2375, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672, 6000, 6379}
    | {6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9100, 10080, 11211, 27017}
)


def _networks(**by_reason: str) -> tuple[tuple[Network, str], ...]:
    return tuple(
        (ip_network(network), reason.replace("_", " "))
        for reason, networks in by_reason.items()
        for network in networks.split()
    )


# Sources: IANA's special-purpose registries; 168.63.129.16 answers inside one cloud only.
FORBIDDEN = _networks(
    unspecified="0.0.0.0/8",
    private="10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    shared_by_a_carrier="100.64.0.0/10",
    loopback="127.0.0.0/8",
    link_local="169.254.0.0/16",
    reserved="192.0.0.0/24 198.18.0.0/15 240.0.0.0/4",
    reserved_for_documentation="192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    a_relay_to_IPv6="192.88.99.0/24",
    internal_to_a_cloud="168.63.129.16/32",
    multicast="224.0.0.0/4",
    reserved_for_protocols="2001::/23",
    an_IPv4_address_inside_IPv6="2002::/16",
)
# Of IPv6 only this part is in use on the internet; outside lie loopback, link-local, unique local, multicast, NAT64
# and the mapped IPv4 addresses.
PUBLIC_IPV6 = ip_network("2000::/3")


class ForbiddenAddress(OSError):
    """The address is none that leadflow may call; the message is a sentence. An OSError, so that libraries clean up."""


class UnknownHost(OSError):
    """The name has no address."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What may be called: `allowed` networks beside the public ones, and plain HTTP only with `allows_http`."""

    allowed: tuple[Network, ...] = ()
    allows_http: bool = False

    def fault_of(self, address: str) -> str | None:
        """Why this address may not be called; None if it may."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return "is no address"
        if any(found in network for network in self.allowed):
            return None
        for network, reason in FORBIDDEN:
            if found in network:
                return f"is {reason}"
        return "is not a public address" if found.version == 6 and found not in PUBLIC_IPV6 else None

    def test(self, host: str, addresses: Iterable[str]) -> None:
        """Raises: ForbiddenAddress if any of the addresses may not be called."""
        for address in addresses:
            if fault := self.fault_of(address):
                shown = address if address == host else f"{host} has the address {address}, which"
                raise ForbiddenAddress(
                    f"{shown} {fault}; LEADFLOW_OUTBOUND_ALLOWED_NETWORKS says what else may be called."
                )


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, each once, as the system finds them. Raises: UnknownHost."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise UnknownHost(f"{host} has no address.") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def addresses_to_call(host: str, port: int, policy: AddressPolicy, resolve: Resolve) -> list[str]:
    """The addresses of a host, all of which may be called. Raises: ForbiddenAddress, UnknownHost."""
    addresses = resolve(host, port)
    if not addresses:
        raise UnknownHost(f"{host} has no address.")
    policy.test(host, addresses)
    return addresses


def fault_of_url(url: str, policy: AddressPolicy) -> str | None:
    """What is wrong with the URL of an endpoint; None if it can be called. Names are resolved only when called."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError:
        return "is not a URL"
    if parts.scheme == "http" and not policy.allows_http:
        return "must begin with https:// (plain HTTP only with LEADFLOW_OUTBOUND_ALLOW_HTTP)"
    if parts.scheme not in ("https", "http"):
        return "must begin with https://"
    if fault := _fault_of_parts(url, parts.hostname, parts.username, parts.fragment):
        return fault
    if port not in (80, 443) and (port < 1024 or port in REFUSED_PORTS):
        return f"must not use port {port}; allowed: 80, 443 and those from 1024 on that no other service is known by"
    return _fault_of_literal(parts.hostname or "", policy)


def _fault_of_parts(url: str, host: str | None, user: str | None, fragment: str) -> str | None:
    if not host:
        return "has no host"
    if len(url) > MAX_URL_LENGTH or not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return f"must have at most {MAX_URL_LENGTH} printable ASCII characters without blanks; write others encoded"
    if user is not None:
        return "must not hold a user or password; calls are signed instead"
    return "must not have a fragment (#…)" if fragment else None


def _fault_of_literal(host: str, policy: AddressPolicy) -> str | None:
    try:
        ip_address(host)
    except ValueError:
        return None
    return policy.fault_of(host)
