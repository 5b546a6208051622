"""A server that sends exactly the bytes a test gives it, and closes the connection."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Reply = Callable[[str], bytes | None]
"""From ``METHOD /path`` to the bytes to send; ``None`` to hold the connection until the server is closed."""


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
            else:
                self.wfile.write(data)

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
            "extra": {"auth_url": f"{url}/oauth2/token", **extra},
        }
    )
