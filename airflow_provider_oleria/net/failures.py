"""A request that failed → an error that names the host, the cause and the remedy.

The texts of the HTTP libraries are not repeated: they hold whole URLs, and a presigned URL is a credential.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from requests.exceptions import InvalidJSONError
from urllib3.exceptions import HTTPError

from airflow_provider_oleria.exceptions import (
    OleriaConfigurationError,
    OleriaError,
    OleriaInputError,
    OleriaResponseLostError,
    OleriaUnreachableError,
)
from airflow_provider_oleria.net.backoff import is_passing
from airflow_provider_oleria.net.route import Proxy, Route

REQUESTS_ERRORS: Final = (OSError, HTTPError, ValueError)
"""What ``requests`` raises. Not all of it is a ``RequestException``: bad hosts and CA bundles are not."""

# OpenSSL's codes for a certificate that is not valid yet, or not any more: a later try may succeed.
_EXPIRY_CODES: Final = (9, 10)

# For a certificate that is valid, but for another name or address.
_NAME_CODES: Final = (62, 64)

_TUNNEL_FAILED: Final = re.compile(r"Tunnel connection failed: (\d{3})")
"""The only form in which ``http.client`` reports a proxy's status."""


@dataclass(frozen=True)
class _Failure:
    """The cause in a library's exception.

    :param causes: the exception and all it was raised from, the innermost last.
    :param proxy_status: the status of a proxy that refused to connect.
    """

    causes: list[BaseException]
    proxy_status: int | None

    @cached_property
    def sent(self) -> bool:
        """Whether the request may have left this machine.

        ``connect()`` of both libraries opens the connection, TLS and proxy included. What it raises was not sent.
        """
        return not any(
            frame.f_code.co_name == "connect"
            for cause in self.causes
            for frame, _ in traceback.walk_tb(cause.__traceback__)
        )

    def has(self, *kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in self.causes)

    @property
    def name(self) -> str:
        """The innermost exception's."""
        return type(self.causes[-1]).__name__


def requests_failure(problem: Exception, route: Route) -> OleriaError:
    """Translate an exception of ``requests`` or ``urllib3``.

    :param problem: the exception, one of :data:`REQUESTS_ERRORS`.
    :param route: how the host is reached.
    :return: the error to raise. It is an ``OleriaResponseLostError`` only if the request may have been sent.
    """
    causes = list(_causes(problem))
    for cause in causes:
        if isinstance(cause, OleriaError):  # of the route; requests takes it for a malformed URL
            return cause
    refused = [match for cause in causes if (match := _TUNNEL_FAILED.match(str(cause)))]
    return _translate(_Failure(causes, int(refused[0][1]) if refused else None), route)


def aiohttp_failure(problem: Exception, route: Route) -> OleriaError:
    """Translate an exception of ``aiohttp``.

    :param problem: an ``aiohttp.ClientError``, ``OSError`` or ``ValueError``.
    :param route: how the host is reached.
    :return: as :func:`requests_failure`.
    """
    import aiohttp  # loaded already, and only in the triggerer

    status = problem.status if isinstance(problem, aiohttp.ClientHttpProxyError) else None
    return _translate(_Failure(list(_causes(problem)), status), route)


def _translate(failure: _Failure, route: Route) -> OleriaError:
    host, proxy = route.host, route.proxy
    tls = [cause for cause in failure.causes if isinstance(cause, ssl.SSLError)]
    if not tls and _is_unsendable(failure):
        return _unsendable(failure, host)
    if proxy is not None and failure.proxy_status is not None:
        return _refused_by_proxy(failure.proxy_status, proxy, host)
    if proxy is not None and (unreachable := _unreachable_proxy(failure, proxy, host)):
        return unreachable
    where = f"{host}, through the proxy {proxy}" if proxy is not None else host
    if tls and not failure.sent:
        return _tls_failed(tls[-1], where, route)
    if failure.sent:
        timed_out = failure.has(TimeoutError)
        how = "no response came in time" if timed_out else f"the connection broke ({failure.name})"
        return OleriaResponseLostError(f"{where}: {how}")
    if failure.has(socket.gaierror):
        how = "its name cannot be resolved. Check the URL in the Connection, and DNS on this machine"
    elif failure.has(ConnectionRefusedError):
        how = "the connection was refused. Check host and port of the URL in the Connection"
    elif failure.has(TimeoutError):
        how = "no connection could be made in time. Allow outgoing https to this host"
    else:
        how = f"no connection could be made ({failure.name}). Allow outgoing https to this host"
    return OleriaUnreachableError(f"{where}: {how}")


def _is_unsendable(failure: _Failure) -> bool:
    # Only the outermost is looked at: a response that cannot be parsed has a ValueError among its causes.
    return isinstance(failure.causes[0], ValueError | InvalidJSONError) or failure.has(http.client.InvalidURL)


def _unsendable(failure: _Failure, host: str) -> OleriaError:
    if failure.has(InvalidJSONError):
        return OleriaInputError(
            "the request was not sent: it has a value that JSON does not know, such as NaN. Check filter_by"
        )
    return OleriaConfigurationError(
        f"{host}: the request was not sent, because its URL or a header is not valid ({failure.name}). Check the "
        "URLs in the Connection"
    )


def _refused_by_proxy(status: int, proxy: Proxy, host: str) -> OleriaError:
    if status == 407:
        remedy = (
            f"it does not accept the user name and password in {proxy.source}"
            if proxy.has_credentials
            else f"it requires a user name and password. Put them into {proxy.source}: http://user:password@host:port"
        )
        return OleriaConfigurationError(f"the proxy {proxy} answered 407: {remedy}")
    answered = f"the proxy {proxy} answered {status} to the request to connect to {host}"
    if is_passing(status) and status != 501:
        return OleriaUnreachableError(f"{answered}. It cannot reach this host at the moment")
    return OleriaConfigurationError(
        f"{answered}. Allow the host at the proxy, add it to NO_PROXY, or correct {proxy.source}"
    )


def _unreachable_proxy(failure: _Failure, proxy: Proxy, host: str) -> OleriaError | None:
    if failure.sent:
        return None
    resolution = next((cause for cause in failure.causes if isinstance(cause, socket.gaierror)), None)
    if resolution is not None:
        # Of the SOCKS proxies, those with an h or an a in their scheme resolve the host's name themselves.
        which, hint = "", ""
        if proxy.url.startswith(("socks5:", "socks4:")):
            which, hint = (
                f", or that of {host},",
                ", for example to socks5h:// so that the proxy resolves names",
            )
        text = (
            f"the name of the proxy {proxy}{which} cannot be resolved. Correct {proxy.source}{hint}, or DNS on this "
            "machine"
        )
        # "Try again" is a fault of DNS; any other code means that there is no such name.
        may_pass = resolution.errno == socket.EAI_AGAIN
        return OleriaUnreachableError(text) if may_pass else OleriaConfigurationError(text)
    if failure.has(ConnectionRefusedError):
        return OleriaUnreachableError(
            f"the proxy {proxy} refused the connection. Check the proxy, and {proxy.source}"
        )
    if not failure.has(TimeoutError, ssl.SSLError):
        return OleriaUnreachableError(
            f"the proxy {proxy} made no connection to {host} ({failure.name}): it cannot be reached, is not a proxy, "
            f"or cannot reach this host. Check the proxy, and {proxy.source}"
        )
    return None


def _tls_failed(error: ssl.SSLError, where: str, route: Route) -> OleriaError:
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "reason", None) or type(error).__name__
        hint = (
            ", and whether the proxy's own URL should begin with http://" if route.proxy is not None else ""
        )
        return OleriaUnreachableError(
            f"{where}: TLS failed ({reason}). Check whether host and port of the URL serve https{hint}"
        )
    # aiohttp's own error inherits from ssl's, but has none of its attributes.
    reason = getattr(error, "verify_message", "") or "verification failed"
    code = getattr(error, "verify_code", None)
    if code in _EXPIRY_CODES:
        return OleriaUnreachableError(
            f"{where}: a TLS certificate is not valid at this time ({reason}). Check the clock of this machine, and "
            "when the certificate is renewed"
        )
    if code in _NAME_CODES:
        return OleriaConfigurationError(
            f"{where}: the TLS certificate is for another name ({reason}). Check the URL in the Connection, and where "
            "DNS and the proxy lead"
        )
    bundle = route.ca_bundle
    if route.proxy is not None and route.proxy.url.startswith("https:"):
        text = f"{where}: the TLS certificate of one of the two is not trusted ({reason})"
    else:
        text = f"{where}: its TLS certificate is not trusted ({reason})"
    if bundle.source:
        text += (
            f" by the CA bundle {bundle}, which replaces the public CAs. Add the CA that signed this host's "
            "certificate to it"
        )
        if bundle.path.is_dir():
            text += ", and run 'openssl rehash' on this directory"
    else:
        text += (
            ". If a proxy re-signs traffic, or the host has a certificate of your own CA, set the Connection's extra "
            "'verify' to the path of a CA bundle with this CA"
        )
    return OleriaConfigurationError(text)


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """``problem`` and all it was raised from, however the library keeps it."""
    pending, seen = [problem], set()
    while pending:
        cause = pending.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        pending += [item for item in inner if isinstance(item, BaseException)]
