"""Which addresses a connection may call: public hosts over https, and loopback where a simulator is allowed.

A configured address must not become a way into the network that Referee runs in: names are judged again
by the address they led to, at connect time, because a name may resolve differently each time.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from connectors.errors import NeedsOperator

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL = ipaddress.ip_network("2000::/3")
_EXAMPLES = ipaddress.ip_network("3fff::/20")
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked_base_url(base_url: str, *, system: str, allow_loopback: bool) -> Url:
    """The address of a system, taken apart, when it may be called.

    Raises: ``NeedsOperator`` naming what is wrong (scheme, user part, private host).
    """
    url = parsed(base_url, system=system)
    host = url.host or ""
    ip = literal_ip(host)
    name = host.rstrip(".")
    loopback = name == "localhost" or name.endswith(".localhost") or (ip is not None and ip.is_loopback)
    if url.auth is not None:
        raise NeedsOperator(
            f"{system}: the address holds a user part ({host}); put credentials into their own settings"
        )
    if url.query is not None or url.fragment is not None:
        raise NeedsOperator(f"{system}: the address of {host} must end before any '?' or '#'")
    if loopback and allow_loopback and url.scheme in ("http", "https"):
        return url
    if url.scheme != "https":
        raise NeedsOperator(f"{system}: the address is {url.scheme}://{host}; only https is allowed")
    if loopback or (ip is not None and not is_public(ip)):
        raise NeedsOperator(f"{system}: {host} is not a public address; name the system's public host")
    return url


def parsed(url: str, *, system: str) -> Url:
    """The URL as the HTTP library itself takes it apart, so that check and connection cannot disagree."""
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise NeedsOperator(f"{system}: the address cannot be read; write it as https://host") from error
    if not parts.host or not parts.scheme:
        raise NeedsOperator(f"{system}: the address has no host; write it as https://host")
    return parts


def origin(url: Url) -> tuple[str, str, int]:
    """Scheme, host and port, normalised for comparing."""
    scheme = (url.scheme or "").lower()
    return scheme, (url.host or "").lower().rstrip("."), url.port or (443 if scheme == "https" else 80)


def literal_ip(host: str) -> Ip | None:
    """The IP address that a host text is, in any spelling that ``connect`` takes (``127.1``, ``0x7f.1``, ``2130706433``)."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))  # the C library's rules: octal, hex, decimal, short forms
    except (OSError, UnicodeEncodeError):
        return None


def is_public(ip: Ip) -> bool:
    """Whether an address is on the open internet, also when it wraps an IPv4 address (mapped, 6to4, NAT64).

    Of IPv6 that is 2000::/3 only (IANA: global unicast). Everything else leads inside or nowhere, also what Python's own
    table takes for global: site-local (fec0::/10), NAT64 of one network (64:ff9b:1::/48), IPv4 in other wrappings.
    """
    if isinstance(ip, ipaddress.IPv6Address):
        inner = (
            ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        )
        if inner is not None:
            return is_public(inner)
        if ip not in _GLOBAL or ip in _EXAMPLES:
            return False
    return ip.is_global and not ip.is_multicast


class GuardedAdapter(HTTPAdapter):
    """Connections that are dropped, before a byte is sent, when they led to an address that is not public."""

    def __init__(self, system: str, *, allow_loopback: bool, workers: int = 8) -> None:
        self._system = system
        self._allow_loopback = allow_loopback
        super().__init__(pool_connections=2, pool_maxsize=workers, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool: Any) -> None:
        """Build the pools on connections that check their peer."""
        system, allow_loopback = self._system, self._allow_loopback

        def checked(connected: socket.socket) -> socket.socket:
            ip = ipaddress.ip_address(connected.getpeername()[0].partition("%")[0])
            if not (is_public(ip) or (allow_loopback and ip.is_loopback)):
                connected.close()
                raise NeedsOperator(f"{system}: its host name led to {ip}, which is not a public address")
            return connected

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return checked(super()._new_conn())

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return checked(super()._new_conn())

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **pool)
        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
