"""A virtual environment with packages in it: what the targets of the Makefile begin with.

``python .ci/make_venv.py FOLDER ARGUMENTS``, with the arguments of ``uv pip install``. If it fails, the last line names
the remedy.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

REMEDIES = [
    (
        "No space left on device|Disk quota exceeded",
        "The disk is full. An environment takes up to 2 GB, uv's cache as much: UV_CACHE_DIR=/another/folder",
    ),
    (
        "Read-only file system|Permission denied",
        "A folder is not writable, see above. If it is uv's cache: export UV_CACHE_DIR=/tmp/uv-cache",
    ),
    (
        r"\b407\b|proxy authorization required",
        "The proxy requires a login: export HTTPS_PROXY=http://user:password@host:port",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UnknownIssuer",
        "A certificate is not trusted. If a proxy inspects TLS, name the file with its CA: export PIP_CERT="
        "/etc/ssl/certs/ca-certificates.crt (Debian, Ubuntu) or /etc/pki/tls/certs/ca-bundle.crt (Fedora, RHEL)",
    ),
    (
        "ProxyError|tunnel error",
        "The proxy cannot be used. Correct it: export HTTPS_PROXY=http://host:port",
    ),
    (
        "NewConnectionError|TimeoutError|client error|timed out|No matching distribution found for uv",
        "The package index cannot be reached. Behind a proxy: export HTTPS_PROXY=http://host:port. "
        "With an index of your own: export PIP_INDEX_URL=https://host/simple",
    ),
]
"""Pattern in the output of pip or uv, and the remedy. The first match counts."""

SETTINGS = {"cert": "SSL_CERT_FILE", "index-url": "UV_DEFAULT_INDEX", "proxy": "ALL_PROXY"}
"""pip's name of a setting → the variable in which uv expects it: uv reads neither pip's files nor its variables."""


def main(folder: str, *arguments: str) -> None:
    try:
        import ensurepip  # noqa: F401  # only to see whether it is there
    except ImportError:
        sys.exit(
            f"{sys.executable} cannot make virtual environments. Debian, Ubuntu: apt install python3-venv"
        )
    python, uv = (str(Path(folder, "bin", name)) for name in ("python", "uv"))
    run(sys.executable, "-m", "venv", "--clear", folder)
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    os.environ.update({**settings_of_pip(python), **os.environ})
    run(uv, "pip", "install", "--quiet", "--python", python, *arguments)


def run(*command: str) -> None:
    """Run a command. If it fails, print its output and end with the remedy."""
    print(*command, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603  # main's
    if done.returncode:
        print(done.stdout, flush=True)
        sys.exit(next((remedy for pattern, remedy in REMEDIES if re.search(pattern, done.stdout)), 1))


def settings_of_pip(python: str) -> dict[str, str]:
    """The settings of pip that uv needs as well, from pip's files and variables."""
    command = [python, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout  # noqa: S603  # pip's
    found = {}
    for section in ("global", "install", ":env:"):  # a later one takes precedence
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(.+)$", listed, re.MULTILINE):
            if name in SETTINGS:
                found[SETTINGS[name]] = ast.literal_eval(value)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
