"""Which addresses the store behind a presigned URL may have.

The API chooses the URL. An API that is confused, or not itself, must not make a worker read from a service of its own
machine or network. So the store's name is resolved once, each address is checked, and these addresses are connected to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from airflow_provider_oleria.connection.settings import Settings, is_hostname, is_secure
from airflow_provider_oleria.exceptions import OleriaConfigurationError, OleriaProtocolError

Resolve = Callable[[str, int], list[str]]
"""From host and port to addresses.

:raises OSError: there are none.
"""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as IPv6-only networks see them."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, from the system."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def checked(find: Resolve, settings: Settings) -> Resolve:
    """:data:`Resolve` that refuses a host with any address that is not allowed."""

    def find_checked(host: str, port: int) -> list[str]:
        addresses = find(host, port)
        for address in addresses:
            check_address(host, address, settings)
        return addresses

    return find_checked


def check_presigned_url(url: str, settings: Settings) -> None:
    """Refuse a presigned URL that must not be requested, as far as the URL itself shows it.

    :raises OleriaProtocolError: it is malformed, not https, or has a user name.
    :raises OleriaConfigurationError: its host is an address of this machine or a private network.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port  # reading the port checks it
    except ValueError:
        host = ""
    # Characters on which parsers disagree: where the host ends for one, it may not for another.
    if not is_hostname(host) or not re.fullmatch(r"[!-\[\]-~]+", url) or _is_odd_address(host):
        raise OleriaProtocolError("the API returned a malformed presigned URL")
    if "@" in parts.netloc:
        raise OleriaProtocolError(
            "the presigned URL has a user name or password, which a store does not need"
        )
    if not is_secure(url):
        raise OleriaProtocolError(
            "the presigned URL is not https: a credential must not be sent in plain text"
        )
    check_address(host, host, settings)


def check_address(host: str, address: str, settings: Settings) -> None:
    """Refuse an address that is not public, unless the Connection allows it for this host.

    :param host: of the presigned URL.
    :param address: one of its addresses. A name is not refused, other than that of this machine.
    :raises OleriaConfigurationError: it is refused; the message has the remedy.
    """
    if _is_private(address) and not _is_allowed(host.rstrip("."), settings):
        raise OleriaConfigurationError(
            f"the presigned URL's host {host} has the address {address}, which is of this machine or a private "
            f"network. Nothing was requested. If your network leads to Oleria's store this way, add {host} to the "
            "Connection's extra 'store_hosts'"
        )


def _is_odd_address(host: str) -> bool:
    """Whether a host is an address to the system alone, such as ``127.1`` or ``0x7f000001``."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return re.search(r"(^|\.)(\d+|0x[\da-f]*)\.?$", host) is not None
    return False


def _is_private(address: str) -> bool:
    """Whether an address is not one of the public internet."""
    name = address.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in _NAT64 else None
        inner = inner or found.ipv4_mapped or found.sixtofour
        if inner is not None:
            return _is_private(str(inner))
    return not found.is_global or found.is_multicast


def _is_allowed(host: str, settings: Settings) -> bool:
    api_host = urlsplit(settings.api_url).hostname or ""
    return (
        host == api_host
        or _is_private(api_host)
        or any(host == name or host.endswith(f".{name}") for name in settings.store_hosts)
    )


class ResolvingConnection:
    """Mixed into a connection class of ``urllib3``: connects to the addresses it is given, without another look-up.

    A class attribute ``addresses_of`` has the addresses of a host.
    """

    addresses_of: Resolve
    _dns_host: str
    port: int

    def _new_conn(self) -> Any:
        name = self._dns_host
        addresses = self.addresses_of(name, self.port)
        problem: Exception = OSError("no address")
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()  # type: ignore[misc]  # of urllib3's class
            except HTTPError as error:
                problem = error
            finally:
                self._dns_host = name  # TLS verifies this name
        raise problem
