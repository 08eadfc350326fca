"""Where webhooks may go: an administrator's URL must not become a way into the network behind us.

A name is looked up when it is written down and again at every attempt, and the connection goes to the very address that was checked, so that a
name that points elsewhere a moment later leads nowhere.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

MAX_URL = 2_048
LOOKUP_S = 3.0
_CARRIERS = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("2002::/16"), ip_network("2001::/32"))
"""IPv6 networks whose addresses carry an IPv4 address on: public by themselves, and a way to any of them."""


class AddressRefused(Exception):
    """A URL or an address that webhooks may not go to; the message says why and what to do."""


def read_networks(text: str) -> Networks:
    """Networks in CIDR notation, separated by commas.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def permitted(address: Address, networks: Networks) -> bool:
    """Whether webhooks may go there: a public address, or one of the networks that the settings allow."""
    plain = getattr(address, "ipv4_mapped", None) or address
    if any(plain in network for network in networks if network.version == plain.version):
        return True
    carries = any(plain in network for network in _CARRIERS if network.version == plain.version)
    return plain.is_global and not plain.is_multicast and not plain.is_reserved and not carries


def check_url(url: str, networks: Networks, lookup: bool = True) -> str:
    """Check a URL that an administrator gives.

    Args:
        url: with its path and query.
        networks: that are allowed beside public addresses.
        lookup: whether to look a name up; one that cannot be found now is left to the attempts.

    Raises:
        AddressRefused: webhooks may not go there.
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or any(one in url for one in ' "<>\\^`{|}'):
        raise AddressRefused(f"A URL has at most {MAX_URL} characters, all of them printable ASCII without spaces.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused("The URL cannot be read; write one such as https://oms.example.com/hooks/ordinance.") from error
    if parts.scheme not in {"https", "http"} or not host:
        raise AddressRefused("A webhook goes to an https URL such as https://oms.example.com/hooks/ordinance.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("The URL must not hold a name or a password; check the signature instead.")
    if parts.fragment:
        raise AddressRefused("The URL must not have a fragment.")
    if port == 0:
        raise AddressRefused("The URL must have a port between 1 and 65535.")
    found = _literal(host)
    addresses = [found] if found is not None else _looked_up(host) if lookup else []
    for address in addresses:
        check_address(host, address, networks, secure=parts.scheme == "https")
    if parts.scheme == "http" and not addresses and host != "localhost":
        raise AddressRefused("Plain http is for loopback alone; give an https URL.")
    return url


def check_address(host: str, address: Address, networks: Networks, *, secure: bool) -> None:
    """Check one address of a host.

    Raises:
        AddressRefused: webhooks may not go there.
    """
    plain = getattr(address, "ipv4_mapped", None) or address
    if not permitted(plain, networks):
        raise AddressRefused(
            f"{host} is at {plain}, which is not a public address. If webhooks are meant to go there, add its network to ORDINANCE_WEBHOOK_NETWORKS."
        )
    if not secure and not plain.is_loopback:
        raise AddressRefused(f"{host} is at {plain}, which is not loopback: give an https URL.")


def choose(host: str, addresses: Sequence[Address], networks: Networks, *, secure: bool) -> Address:
    """The address to connect to; all of a host's are checked, so that none of them is a way around.

    Raises:
        AddressRefused: one of them may not be gone to.
    """
    for address in addresses:
        check_address(host, address, networks, secure=secure)
    return addresses[0]


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _looked_up(host: str) -> list[Address]:
    """The addresses of a name; none where it cannot be found in time."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="lookup")
    try:
        found = pool.submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM).result(LOOKUP_S)
    except (OSError, TimeoutError, UnicodeError):
        return []
    finally:
        pool.shutdown(wait=False)
    return [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
