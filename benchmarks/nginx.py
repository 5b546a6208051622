"""A private nginx on loopback: a folder behind HTTP, and a line to another server, at a rate per connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import free_port, running

_PROCESS = """
daemon off;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 256; }}
"""

_FOLDER = """
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

_LINE = """
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{target};
        proxy_buffer_size 128k;
        proxy_upload_rate {rate};
        proxy_download_rate {rate};
    }}
}}
"""

_PACKAGES = ["nginx", "libnginx-mod-stream"]

_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Where Debian has it as a module of its own."""


@contextmanager
def serving(folder: Path, home: Path, rate: int) -> Iterator[str]:
    """Serve for as long as the block lasts; gives the base URL, with ``/unlimited`` and ``/limited`` below it.

    :param folder: what to serve.
    :param home: an empty folder for its own files.
    :param rate: bytes a second of each connection below ``/limited``.
    """
    port = free_port()
    home.chmod(0o755)  # its workers are another user's, where root starts it
    with _running(_FOLDER.format(home=home, folder=folder, port=port, rate=rate), home, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def slowed(target: int, home: Path, rate: int) -> Iterator[int]:
    """The port of a line to another port; each of its connections carries ``rate`` bytes a second, both ways.

    :param target: the port of the server.
    :param home: an empty folder for its own files.
    """
    port = free_port()
    load = f"load_module {_STREAM_MODULE};" if _STREAM_MODULE.exists() else ""
    with _running(load + _LINE.format(port=port, target=target, rate=rate), home, port):
        yield port


@contextmanager
def _running(servers: str, home: Path, port: int) -> Iterator[None]:
    program = _nginx()
    configuration = home / "nginx.conf"
    configuration.write_text(servers + _PROCESS.format(home=home))
    arguments = ["-p", home, "-c", configuration, "-e", home / "error.log"]
    with running([program, *arguments], port):
        yield


def _nginx() -> str:
    search = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if not shutil.which("nginx", path=search):
        apt = shutil.which("apt-get")
        if apt is None or os.geteuid() != 0:
            sys.exit("The benchmark needs nginx: install it, or run this as root on Debian or Ubuntu.")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *_PACKAGES]):
            subprocess.run([apt, "-qq", *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    found = shutil.which("nginx", path=search)
    assert found, "nginx is installed, and not to be found"
    return found
