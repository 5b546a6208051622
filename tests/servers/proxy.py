"""A proxy on loopback that re-signs the traffic, as inspecting proxies do: CONNECT of HTTP, and SOCKS5."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_oleria.api.tokens import TOKENS
from airflow_provider_oleria.sandbox import Sandbox

from .certificates import Authority

HOST = "devx.tenant.invalid"
STORE = "store.tenant.invalid"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")


@dataclass
class Proxy:
    """A running proxy.

    :param port: on loopback.
    :param status: of its responses to CONNECT of HTTP.
    :param answer: sent in place of these responses; then the connection is closed.
    :param certificates: a file with certificate and key for each host; a host without one is not re-signed.
    :param target: the port that all connections are forwarded to, in plain text.

    ``requests`` are the heads of all requests it received; ``SOCKS host`` for those by SOCKS5.
    """

    port: int
    target: int
    status: int = 200
    answer: bytes | None = None
    certificates: dict[str, Path] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def handle(self, client: socket.socket) -> None:
        """Serve one connection to its end."""
        first = client.recv(1)
        host = self._socks(client) if first == b"\x05" else self._connect(client, first)
        if host is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates[host])
        with (
            closing(context.wrap_socket(client, server_side=True)) as inner,
            closing(socket.create_connection(("127.0.0.1", self.target))) as server,
        ):
            _exchange(inner, server)

    def _connect(self, client: socket.socket, head: bytes) -> str | None:
        while b"\r\n\r\n" not in head and (byte := client.recv(1)):
            head += byte
        self.requests.append(text := head.decode())
        if self.answer is not None:
            client.sendall(self.answer)
            return None
        client.sendall(f"HTTP/1.1 {self.status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
        return text.split(" ")[1].split(":")[0] if self.status == 200 else None

    def _socks(self, client: socket.socket) -> str | None:
        """RFC 1928, without authentication, for names."""
        _read(client, _read(client, 1)[0])
        client.sendall(b"\x05\x00")
        if _read(client, 4) != b"\x05\x01\x00\x03":
            return None  # the client has left
        host = _read(client, _read(client, 1)[0]).decode()
        _read(client, 2)
        self.requests.append(f"SOCKS {host}")
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        return host


def _read(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def _exchange(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_proxy(target: int) -> Iterator[Proxy]:
    """A proxy that forwards to a port on loopback."""
    proxy = Proxy(0, target)
    with _serving(proxy.handle) as proxy.port:
        yield proxy


@contextmanager
def tls_in_front_of(target: int, certificate: Path) -> Iterator[int]:
    """A port on loopback that takes TLS, and forwards what is inside to another port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def handle(client: socket.socket) -> None:
        with (
            closing(context.wrap_socket(client, server_side=True)) as inner,
            closing(socket.create_connection(("127.0.0.1", target))) as server,
        ):
            _exchange(inner, server)

    with _serving(handle) as port:
        yield port


@contextmanager
def _serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve(client: socket.socket) -> None:
            with closing(client), suppress(OSError):
                handle(client)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no CA bundle from outside."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The company's CA."""
    return Authority(tmp_path)


@pytest.fixture
def tenant(
    oleria_sandbox: Sandbox, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Points the Connection at a host that only a proxy can reach; takes extras of the Connection."""

    def configure(**extra: object) -> None:
        TOKENS.clear()
        fields = json.loads(oleria_sandbox.connection_json())
        fields["host"] = f"https://{HOST}"
        fields["extra"] |= {
            "auth_url": f"https://{HOST}/oauth2/token",
            "verify": str(authority.bundle),
            **extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", json.dumps(fields))

    return configure


@pytest.fixture
def proxy(
    oleria_sandbox: Sandbox, authority: Authority, no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """An inspecting proxy in front of the sandbox, set as HTTPS_PROXY without a scheme."""
    with running_proxy(int(oleria_sandbox.api_url.rpartition(":")[2])) as running:
        running.certificates[HOST] = authority.issue(HOST)
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{running.port}")
        yield running
