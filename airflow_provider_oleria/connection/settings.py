"""Airflow Connection → checked settings. Nothing is sent before they are checked."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from airflow_provider_oleria.arguments import MAX_SECONDS
from airflow_provider_oleria.exceptions import OleriaConfigurationError

DEFAULT_CONN_ID: Final = "oleria_default"

DEFAULT_SCOPE: Final = "ClientCredentialsResourceServer/client_credentials_base_scope"
"""The scope of Oleria's token guide."""

_CONNECT_TIMEOUT: Final = 10.0
"""Longest wait for a connection, in seconds, unless ``timeout`` is shorter."""

DEFAULT_TIMEOUT: Final = 60.0

DEFAULT_STORE_HOSTS: Final = ("amazonaws.com",)
"""Oleria's store is S3. Many networks reach S3 through VPC endpoints with private addresses, and TLS certificates show
that the host is Amazon's."""

CREDENTIALS_PAGE: Final = "Oleria: Settings → Manage APIs → your OAuth application"
"""Where Oleria shows the values of a Connection."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_MAX_HOSTNAME: Final = 253
"""Characters of the longest name in DNS."""

_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)", re.ASCII)
"""One part of a name in DNS; underscores are not for hosts, but are in use."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and for how long, one call is retried. A wait for a download polls until its own timeout instead.

    :param max_attempts: attempts in all. Responses with ``Retry-After`` are not counted.
    :param max_wait: longest time, in seconds, that one call waits between its attempts in all.
    :param initial_backoff: delay after the first failure, in seconds; it doubles with each further one.
    :param max_backoff: longest delay, in seconds, unless ``Retry-After`` is longer.
    """

    max_attempts: int = 8
    max_wait: float = 600.0
    initial_backoff: float = 1.0
    max_backoff: float = 60.0


DEFAULT_RETRY: Final = RetryPolicy()


@dataclass(frozen=True)
class Settings:
    """The checked fields of a Connection. They cannot be pickled or copied, because they hold the client secret.

    :param api_url: scheme, host and port of the API, without a trailing slash.
    :param auth_url: the tenant's token endpoint.
    :param client_id: of the OAuth application.
    :param client_secret: of the OAuth application.
    :param audience: sent with the token request when configured.
    :param scope: the scope to ask for.
    :param timeout: longest silence on an open connection, in seconds.
    :param verify: ``True``, or the path of a CA bundle.
    :param retry: how failed calls are retried.
    :param store_hosts: names of hosts and domains whose addresses may be private, if a presigned URL has them.
    """

    api_url: str
    auth_url: str
    client_id: str
    client_secret: str = field(repr=False)
    audience: str | None = None
    scope: str = DEFAULT_SCOPE
    timeout: float = DEFAULT_TIMEOUT
    verify: bool | str = True
    retry: RetryPolicy = DEFAULT_RETRY
    store_hosts: tuple[str, ...] = DEFAULT_STORE_HOSTS

    def __reduce__(self) -> NoReturn:
        raise TypeError("Settings hold the client secret: they are neither pickled nor copied")

    serialize = __reduce__  # Airflow calls it for the result of a task, which it would store as an XCom

    @property
    def connect_timeout(self) -> float:
        """Longest wait for a connection, in seconds."""
        return min(_CONNECT_TIMEOUT, self.timeout)

    @property
    def total_timeout(self) -> float:
        """Longest time that one call takes in all, in seconds, however slowly its response arrives."""
        return 5 * self.timeout

    @cached_property
    def token_key(self) -> bytes:
        """A hash of all that tokens depend on."""
        parts = (self.auth_url, self.client_id, self.client_secret, self.scope, self.audience)
        return hashlib.sha256(repr(parts).encode()).digest()


def read_settings(
    connection: str,
    *,
    host: str | None,
    port: int | None,
    schema: str | None,
    login: str | None,
    password: str | None,
    extra: Mapping[str, Any],
) -> Settings:
    """Check a Connection's fields.

    :param connection: its name, to begin the error text with.
    :param host: the API URL, with or without scheme, port and trailing slash.
    :param port: the Connection's port, used if the host has none.
    :param schema: ``http`` or ``https`` if Airflow has split it off a connection URI.
    :param login: used if there is no extra ``client_id``.
    :param password: used if there is no extra ``client_secret``.
    :param extra: the extras ``client_id``, ``client_secret``, ``auth_url``, ``audience``, ``scope``, ``timeout``
        (seconds), ``verify``, ``store_hosts``, ``retry_attempts``, ``retry_delay`` and ``retry_max_wait`` (seconds).
    :raises OleriaConfigurationError: fields are missing or malformed; the message names all of them and the remedies.
    """
    problems: list[str] = []
    # Of a connection URI, Airflow's command line and API server read the values as JSON, and a task reads texts.
    extra = {name: None if value == "null" else value for name, value in extra.items()}

    def text(name: str, fallback: str | None = None) -> str:
        value = extra.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            problems.append(
                f"extra {name!r} must be a string, not {type(value).__name__} (from a connection URI Airflow reads "
                "numbers such as 1e3, and true: set the Connection as JSON, with the value in quotes)"
            )
            return ""
        if value and fallback and value != fallback:
            # The form shows the fallback, so a change made there would have no effect.
            log.warning(
                "%s has a %s in its form and another one in its extra. The extra is used: remove it there.",
                connection,
                name,
            )
        return (value or fallback or "").strip()

    def required(value: str, what: str) -> str:
        if not value:
            problems.append(f"{what} is missing ({CREDENTIALS_PAGE})")
        return value

    def checked(reader: Any, *arguments: Any) -> Any:
        try:
            return reader(*arguments)
        except ValueError as problem:
            problems.append(str(problem))

    api_url = required((host or "").strip(), "the host (API URL, such as https://devx.<tenant>.oleria.io)")
    auth_url = required(text("auth_url"), "extra 'auth_url' (Authentication URL)")
    settings = Settings(
        api_url=checked(_api_url, api_url, port, schema) if api_url else "",
        auth_url=checked(_auth_url, auth_url) if auth_url else "",
        client_id=required(text("client_id", login), "extra 'client_id' (or the login)"),
        client_secret=required(text("client_secret", password), "extra 'client_secret' (or the password)"),
        audience=text("audience") or None,
        scope=text("scope") or DEFAULT_SCOPE,
        timeout=checked(_seconds, extra, "timeout", DEFAULT_TIMEOUT),
        verify=checked(_verify, extra.get("verify")),
        store_hosts=checked(_store_hosts, extra.get("store_hosts")),
        retry=replace(
            DEFAULT_RETRY,
            max_attempts=checked(_attempts, extra, "retry_attempts", DEFAULT_RETRY.max_attempts),
            max_wait=checked(_seconds, extra, "retry_max_wait", DEFAULT_RETRY.max_wait),
            initial_backoff=checked(_seconds, extra, "retry_delay", DEFAULT_RETRY.initial_backoff),
        ),
    )
    if problems:
        raise OleriaConfigurationError(f"{connection} cannot be used: {'; '.join(problems)}.")
    return settings


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine. A malformed URL has no host."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_secure(url: str) -> bool:
    """Whether credentials may be sent to a URL: by https, or by http within this machine."""
    return url.startswith("https://") or (url.startswith("http://") and is_loopback(url))


def is_hostname(host: str) -> bool:
    """Whether a URL's host is an IP address or can be a name in DNS.

    :param host: without port and brackets; letters of other alphabets are allowed.
    """
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    try:
        labels = host.removesuffix(".").encode("idna").decode().split(".")
    except UnicodeError:  # a label is empty, or longer than 63 letters
        return False
    return len(host) <= _MAX_HOSTNAME and all(_LABEL.fullmatch(label) for label in labels)


def _api_url(host: str, port: int | None, schema: str | None) -> str:
    scheme = schema if schema in ("http", "https") else "https"
    parts = _url("the host (API URL)", host if "://" in host else f"{scheme}://{host}")
    if parts.path.strip("/"):
        raise ValueError("the host (API URL) must be scheme and host only, without a path")
    port = parts.port or port
    if port == _DEFAULT_PORTS[parts.scheme]:
        port = None  # a task resumes the downloads of the same API URL, however it is written
    hostname = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{hostname}" + (f":{port}" if port else "")


def _auth_url(text: str) -> str:
    return _url("extra 'auth_url' (Authentication URL)", text).geturl()


def _url(what: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        raise ValueError(f"{what} is not a URL") from None
    # The text may hold a password, so it is not repeated.
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{what} must be a URL such as https://host.example")
    if parts.username or parts.password:
        raise ValueError(f"{what} must not contain a user name or password")
    # A query may hold a credential too, and messages name the URL.
    if parts.query or parts.fragment or any(character.isspace() for character in text):
        raise ValueError(f"{what} must not contain spaces, a query or a fragment")
    if "<" in parts.netloc:
        raise ValueError(f"{what} has a placeholder: replace <…> by the value that Oleria shows")
    if not is_hostname(parts.hostname):
        raise ValueError(f"{what} has {parts.hostname!r}, which is not the name of a host")
    if not is_secure(parts.geturl()):
        raise ValueError(f"{what} must be https: plain http is allowed for loopback hosts only")
    return parts


def _seconds(extra: Mapping[str, Any], name: str, default: float) -> float:
    value = extra.get(name)
    if value in (None, ""):
        return float(default)
    try:
        seconds = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"extra {name!r} must be a number of seconds greater than 0, and at most ten years")
    return seconds


def _attempts(extra: Mapping[str, Any], name: str, default: int) -> int:
    attempts = _seconds(extra, name, default)
    if not attempts.is_integer():
        raise ValueError(f"extra {name!r} must be a whole number greater than 0")
    return int(attempts)


def _store_hosts(value: Any) -> tuple[str, ...]:
    names = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if names in (None, [], [""]):
        return DEFAULT_STORE_HOSTS
    if not isinstance(names, list) or not all(isinstance(name, str) and is_hostname(name) for name in names):
        raise ValueError("extra 'store_hosts' must be names of hosts or domains, separated by commas")
    return tuple(name.lower().rstrip(".") for name in names)


def _verify(value: Any) -> bool | str:
    if value in (None, "") or value is True or (isinstance(value, str) and value.lower() == "true"):
        return True
    if value is False or not isinstance(value, str) or value.lower() == "false":
        raise ValueError(
            "extra 'verify' must be true or the path of a CA bundle: without verification any host could receive "
            "the client secret"
        )
    if not os.path.exists(value):  # Path.exists() raises where a folder must not be read
        # It may be the bundle itself, not its path: its first line shows that.
        shown = value.partition("\n")[0][:200]
        raise ValueError(f"extra 'verify': there is no CA bundle at {shown!r} on this machine")
    return value
