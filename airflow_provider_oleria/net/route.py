"""How a host is reached from this machine: proxy, CA bundle and TLS rules, the same for worker and triggerer.

The environment is read as ``requests`` reads it: ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` for the proxy; the
Connection's ``verify``, else ``REQUESTS_CA_BUNDLE``, else ``CURL_CA_BUNDLE``, else the public CAs for the CA bundle.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from airflow_provider_oleria.connection.settings import Settings, is_hostname, is_loopback
from airflow_provider_oleria.exceptions import OleriaConfigurationError
from airflow_provider_oleria.net.redaction import clear_frames, quoted, remember_login


@dataclass(frozen=True)
class Proxy:
    """A proxy.

    :param url: with its scheme, and with user name and password if it has them.
    :param source: the environment variable that names it.
    """

    url: str = field(repr=False)
    source: str

    @property
    def is_socks(self) -> bool:
        """Whether it is a SOCKS proxy, which ``aiohttp`` does not support."""
        return self.url.startswith("socks")

    @property
    def has_credentials(self) -> bool:
        """Whether the URL holds a user name."""
        return bool(urlsplit(self.url).username)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]} (from {self.source})"


@dataclass(frozen=True)
class CaBundle:
    """The CA certificates that a host's certificate is verified with.

    :param path: of a PEM file, or of a directory as OpenSSL reads it.
    :param source: where the path comes from; empty for the public CAs that ``requests`` uses.
    """

    path: Path
    source: str

    def __str__(self) -> str:
        return f"{self.path} (from {self.source})"

    def tls_context(self, library: Literal["aiohttp", "requests"]) -> ssl.SSLContext:
        """Python's default TLS rules with these CA certificates.

        Both libraries would otherwise choose their own rules.

        :param library: that uses the context; urllib3 changes settings of a context it uses.
        :return: always the same context, because only requests with the same context share connections.
        :raises OleriaConfigurationError: the bundle cannot be read, or holds no certificate.
        """
        try:
            if self.path.is_dir() and not any(self.path.iterdir()):
                raise FileNotFoundError(0, "it is empty")
            return _tls_context(self.path, self.path.stat().st_mtime, library)
        except ssl.SSLError:
            reason = "it is not a PEM file with certificates"
        except OSError as error:
            reason = error.strerror or type(error).__name__
        raise OleriaConfigurationError(f"the CA bundle {self} cannot be used on this machine: {reason}")


@dataclass(frozen=True)
class Route:
    """How a host is reached.

    :param host: with the port if the URL has one.
    :param proxy: to connect through.
    :param ca_bundle: to verify the host's certificate with.
    """

    host: str
    proxy: Proxy | None
    ca_bundle: CaBundle


def find_route(url: str, settings: Settings, *, in_triggerer: bool = False) -> Route:
    """Find out how a URL is reached.

    :param url: of the API, the token endpoint or the store.
    :param settings: the Connection's settings.
    :param in_triggerer: whether the triggerer will use it. A deferrable task checks this before it starts an export.
    :raises OleriaConfigurationError: the URL or the proxy's URL is malformed, or a SOCKS proxy cannot be used.
    """
    try:
        host = quoted(urlsplit(url).netloc.rpartition("@")[2])
    except ValueError:
        host = ""
    if not host:
        raise OleriaConfigurationError("a malformed URL cannot be requested; nothing was sent")
    proxy = _find_proxy(url)
    if proxy is not None and proxy.is_socks:
        if in_triggerer:
            raise OleriaConfigurationError(
                f"the triggerer cannot use the proxy {proxy}: it supports HTTP proxies only. Set HTTPS_PROXY to an "
                "HTTP proxy, or run the task with deferrable=False"
            )
        if find_spec("socks") is None:
            raise OleriaConfigurationError(f"the proxy {proxy} needs PySocks: pip install 'requests[socks]'")
    return Route(host, proxy, find_ca_bundle(settings))


@clear_frames  # a proxy's URL may hold a password
def _find_proxy(url: str) -> Proxy | None:
    text = None if is_loopback(url) else select_proxy(url, get_environ_proxies(url))
    if not text:
        return None
    names = (f"{urlsplit(url).scheme}_proxy", "all_proxy")
    spellings = [spelling for name in names for spelling in (name, name.upper())]
    source = next((name for name in spellings if os.environ.get(name) == text), "the system's settings")
    text = text.strip()
    proxy_url = text if "://" in text else f"http://{text}"
    if not _is_proxy_url(proxy_url):
        # The text may hold a password, so it is not repeated.
        raise OleriaConfigurationError(
            f"the proxy from {source} is not a URL such as http://proxy.example:3128. Correct {source}"
        )
    parts = urlsplit(proxy_url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    remember_login(user, password)
    if parts.scheme.startswith("http") and (":" in user or max(user + password, default="") > "\xff"):
        raise OleriaConfigurationError(
            f"the user name or password of the proxy from {source} cannot be sent: a user name has no colon, and both "
            f"have only characters of Latin-1. Correct {source}"
        )
    # Always with a password, and never without a user name: requests and aiohttp would differ.
    login = f"{parts.username}:{parts.password or ''}@" if user else ""
    host = parts.netloc.rpartition("@")[2]
    return Proxy(parts._replace(netloc=login + host).geturl(), source)  # with its scheme in lower case


def _is_proxy_url(url: str) -> bool:
    try:
        parts: SplitResult = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        return False
    schemes = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
    is_plain = not (parts.path.strip("/") or parts.query or parts.fragment)
    return parts.scheme in schemes and is_plain and is_hostname(parts.hostname or "")


def find_ca_bundle(settings: Settings) -> CaBundle:
    """Find the CA certificates to verify hosts with.

    :param settings: the Connection's settings.
    """
    if isinstance(settings.verify, str):
        return CaBundle(Path(settings.verify), "the Connection's extra 'verify'")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            return CaBundle(Path(path), name)
    return CaBundle(Path(DEFAULT_CA_BUNDLE_PATH), "")


@lru_cache
def _tls_context(path: Path, _modified: float, _library: str) -> ssl.SSLContext:
    if path.is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
