"""A private nginx on loopback, serving a folder: unlimited, and at a fixed rate per connection."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 10

_CONFIGURATION = """
daemon off;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /unlimited/ {{ alias {folder}/; }}
        location /limited/ {{ alias {folder}/; limit_rate {rate}; }}
    }}
}}
"""


@contextmanager
def serving(folder: Path, home: Path, rate: int) -> Iterator[str]:
    """Serve for as long as the block lasts; gives the base URL, with ``/unlimited`` and ``/limited`` below it.

    :param folder: what to serve.
    :param home: an empty folder for its own files.
    :param rate: bytes a second of each connection below ``/limited``.
    """
    port = _free_port()
    configuration = home / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(home=home, folder=folder, port=port, rate=rate))
    home.chmod(0o755)  # its workers are another user's, where root starts it
    server = subprocess.Popen(
        [_nginx(), "-p", str(home), "-c", str(configuration), "-e", f"{home}/error.log"]
    )
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _nginx() -> str:
    search = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if not shutil.which("nginx", path=search):
        apt = shutil.which("apt-get")
        if apt is None or os.geteuid() != 0:
            sys.exit("The benchmark needs nginx: install it, or run this as root on Debian or Ubuntu.")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "nginx"]):
            subprocess.run([apt, "-qq", *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    found = shutil.which("nginx", path=search)
    assert found, "nginx is installed, and not to be found"
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    sys.exit("nginx does not answer")
