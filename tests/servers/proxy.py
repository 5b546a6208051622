"""An HTTP proxy on loopback that understands CONNECT, and re-signs the traffic as inspecting proxies do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Proxy:
    """A running proxy.

    :param port: on loopback.
    :param status: of its responses to CONNECT.
    :param certificates: a file with certificate and key for each host; a host without one is not re-signed.
    :param target: the port that all connections are forwarded to, in plain text.

    ``requests`` are the heads of all requests it received.
    """

    port: int
    target: int
    status: int = 200
    certificates: dict[str, Path] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def handle(self, client: socket.socket) -> None:
        """Serve one connection to its end."""
        head = b""
        while b"\r\n\r\n" not in head and (byte := client.recv(1)):
            head += byte
        self.requests.append(head.decode())
        client.sendall(f"HTTP/1.1 {self.status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
        host = self.requests[-1].split(" ")[1].split(":")[0]
        if self.status != 200:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates[host])
        with (
            closing(context.wrap_socket(client, server_side=True)) as inner,
            closing(socket.create_connection(("127.0.0.1", self.target))) as server,
        ):
            back = threading.Thread(target=_copy, args=(server, inner), daemon=True)
            back.start()
            _copy(inner, server)
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
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        proxy = Proxy(listener.getsockname()[1], target)

        def serve(client: socket.socket) -> None:
            with closing(client), suppress(OSError):
                proxy.handle(client)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
