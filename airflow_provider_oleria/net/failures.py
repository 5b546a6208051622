"""A connection that failed → an error that names the host, the cause and the remedy.

The libraries' own texts are not passed on: they carry whole URLs, and a presigned URL is a credential.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from airflow_provider_oleria.exceptions import (
    OleriaOutageError,
    OleriaResponseLostError,
    OleriaUnreachableError,
)


def fault(problem: BaseException, url: str, *, arrived: bool) -> OleriaOutageError:
    """The error for a request that got no whole answer.

    :param problem: what the HTTP library raised.
    :param url: where the request went; only its host is named.
    :param arrived: whether the request may have reached the other side.
    """
    kind = OleriaResponseLostError if arrived else OleriaUnreachableError
    return kind(f"{urlsplit(url).netloc}: {_how(list(_causes(problem)), arrived=arrived)}")


def _how(causes: list[BaseException], *, arrived: bool) -> str:
    if arrived and _any(causes, TimeoutError):
        return "no answer came in time"
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return (
            f"its TLS certificate is not trusted ({tls.verify_message}). Behind a proxy that re-signs "
            "traffic, set the Connection's extra 'verify' to the path of its CA bundle"
        )
    if tls is not None:
        return f"TLS failed ({tls.reason or _names(causes)}). Is it https that is spoken there?"
    if arrived:
        return f"the connection broke ({_names(causes)})"
    if _any(causes, socket.gaierror):
        return (
            "its name cannot be resolved. Check the Connection's host and auth_url, and DNS on this machine"
        )
    if _any(causes, ConnectionRefusedError):
        return "the connection was refused. Check host and port in the Connection, and any proxy"
    return (
        "no connection could be made in time. Allow outgoing https to the hosts of both the API URL and the "
        "Authentication URL"
    )


def request_fault(problem: requests.RequestException, url: str) -> OleriaOutageError:
    """The error for what ``requests`` raised."""
    refused = _any(list(_causes(problem)), ssl.SSLCertVerificationError)
    not_sent = isinstance(problem, requests.ConnectTimeout | requests.exceptions.ProxyError)
    unconnected = any(isinstance(getattr(item, "reason", None), NewConnectionError) for item in problem.args)
    return fault(problem, url, arrived=not (refused or not_sent or unconnected))


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """``problem`` and everything it was made from, whichever way the library keeps it."""
    pending, seen = [problem], set()
    while pending:
        cause = pending.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        pending += [item for item in inner if isinstance(item, BaseException)]


def _any(causes: list[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _names(causes: list[BaseException]) -> str:
    return type(causes[-1]).__name__
