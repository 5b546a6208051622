"""A server that sends exactly the bytes a test gives it, at once or slowly, and closes the connection."""

from __future__ import annotations

import json
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat


@dataclass(frozen=True)
class Slow:
    """A response of which a part arrives each 20 ms.

    :param start: sent at once.
    :param part: sent again and again.
    :param times: how often; ``None`` for until the client leaves.
    :param end: sent then.
    """

    start: bytes
    part: bytes = b" "
    times: int | None = None
    end: bytes = b""

    def __iter__(self) -> Iterator[bytes]:
        parts = repeat(self.part) if self.times is None else repeat(self.part, self.times)
        return chain([self.start], parts, [self.end])


Reply = Callable[[str], bytes | Slow | None]
"""From ``METHOD /path`` to what to send; ``None`` to hold the connection until the server is closed."""


@contextmanager
def raw_server(reply: Reply) -> Iterator[str]:
    """Serve on a loopback port; the value is the URL."""
    closed = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = self.rfile.readline().decode().rsplit(" ", 1)[0]
            length = 0
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                length = int(value) if name.lower() == "content-length" else length
            self.rfile.read(length)
            data = reply(request)
            if data is None:
                closed.wait()
            elif isinstance(data, bytes):
                self.wfile.write(data)
            else:
                with suppress(OSError):  # the client has left
                    for part in data:
                        self.wfile.write(part)
                        if closed.wait(0.02):
                            break

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            closed.set()
            server.shutdown()


def http(content: object, status: int = 200) -> bytes:
    """A whole response with a JSON body."""
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)


def connection(url: str, **extra: object) -> str:
    """An Airflow Connection, as JSON, whose API and token endpoint are both at ``url``."""
    return json.dumps(
        {
            "conn_type": "oleria",
            "host": url,
            "login": "client",
            "password": "raw-s3cret",
            "extra": {"auth_url": f"{url}/oauth2/token", "retry_delay": 0.01, **extra},
        }
    )


TOKEN = {"access_token": "abc", "expires_in": 3600}
ACCEPTED = {"id": "id-1", "status": "accepted"}


class Server:
    """A raw server for the API and the token endpoint.

    ``replies`` are sent once each, per ``METHOD /path``; then, ``usual``.
    """

    def __init__(self) -> None:
        self.replies: dict[str, list[bytes]] = {}
        self.usual = {
            "POST /oauth2/token": http(TOKEN),
            "POST /v1/downloads": http(ACCEPTED),
            "GET /v1/downloads/id-1": http(ACCEPTED),
        }
        self.requests: Counter[str] = Counter()

    def __call__(self, request: str) -> bytes:
        self.requests[request] += 1
        once = self.replies.get(request)
        return once.pop(0) if once else self.usual[request]
