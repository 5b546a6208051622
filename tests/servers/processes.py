"""Start programs beside Airflow, and wait for conditions."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


MAX_WAIT = 600.0
"""Longest wait in seconds: long enough for any machine."""


def until(condition: Callable[[], T], what: str) -> T:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + MAX_WAIT
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {MAX_WAIT:.0f} s still not: {what}")
        time.sleep(0.2)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Whether a program listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def program(name: str, package: str) -> str:
    """A program of a Debian package, which is installed if it is missing."""
    found = _find(name)
    if found is None:
        if os.geteuid() != 0:
            raise RuntimeError(f"{name} is missing: apt-get install {package}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["/usr/bin/apt-get", "-qq", *command], check=True, env=environment)
        found = _find(name)
    assert found, f"{package} came without {name}"
    return found


def _find(name: str) -> str | None:
    # Debian keeps PostgreSQL's own programs out of the PATH.
    beside = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return beside[-1] if beside else shutil.which(name)


def end_sessions(leaders: set[int]) -> None:
    """Kill every process of these sessions, orphans included.

    :param leaders: processes that were started with a session of their own.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
            if session in leaders:
                os.kill(int(process.name), signal.SIGKILL)
