"""Samba, known to Airflow by the module in docs/files.md."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from getpass import getuser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks
from tests.servers.processes import free_port, listens, until
from tests.servers.stores import Store, connection

CONFIG = """
[global]
server role = standalone server
interfaces = lo
bind interfaces only = yes
disable netbios = yes
load printers = no
disable spoolss = yes
private dir = {folder}
passdb backend = tdbsam:{folder}/users.tdb
lock directory = {folder}
state directory = {folder}
cache directory = {folder}
pid directory = {folder}
ncalrpc dir = {folder}/ncalrpc
log file = {folder}/log
[lake]
path = {folder}/share
read only = no
[archive]
path = {folder}/share
read only = yes
"""

PASSWORD = "open sesame"


def register() -> None:
    """Make ``smb`` known to Airflow in this process, as a provider with a list of filesystems does."""
    from airflow.sdk.io.fs import _register_filesystems

    module: dict[str, Any] = {}
    (documented,) = (block.code for block in blocks() if block.code.startswith("# lake_stores/smb.py"))
    exec(documented, module)  # noqa: S102  # what is tested
    _register_filesystems().update(dict.fromkeys(module["schemes"], module["get_fs"]))


@dataclass(frozen=True)
class Samba:
    """A server with the shares ``lake`` and ``archive``: the same folder, which the second may only read."""

    port: int
    folder: Path

    def conn_id(self, monkeypatch: pytest.MonkeyPatch, **fields: object) -> str:
        """The id of a Connection."""
        default = {"host": "127.0.0.1", "port": self.port, "login": getuser(), "password": PASSWORD}
        return connection(monkeypatch, conn_type="samba", **{**default, **fields})


@pytest.fixture(scope="session")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    """A process of Samba's server, which the user of the tests may log in to."""
    # Debian has it outside of a user's PATH.
    program = shutil.which("smbd", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None or find_spec("smbprotocol") is None:
        pytest.skip("smbprotocol and smbd are needed: apt-get install samba; make test-stores")
    folder = tmp_path_factory.mktemp("samba")
    (folder / "share").mkdir()
    config = folder / "smb.conf"
    config.write_text(CONFIG.format(folder=folder))
    command = ["pdbedit", "-s", config, "--create", "--user", getuser(), "--password-from-stdin"]
    subprocess.run(command, input=f"{PASSWORD}\n" * 2, text=True, check=True, capture_output=True)
    port = free_port()
    server = [program, "--foreground", "-s", config, "-p", str(port)]
    process = subprocess.Popen(server, stdin=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or listens(port), "smbd listens")
        assert process.poll() is None, (folder / "log").read_text()
        yield Samba(port, folder / "share")
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def smb(samba: Samba, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A folder in a share of Samba's, of its own for each test."""
    register()
    name = uuid.uuid4().hex[:8]
    folder = samba.folder / name
    folder.mkdir()

    def found(*, is_part: bool) -> list[Path]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if path.name.startswith(".") == is_part]

    def url(share: str = "lake", **fields: object) -> str:
        return f"smb://{samba.conn_id(monkeypatch, **fields)}@server/{share}"

    return Store(
        url=f"{url()}/{name}",
        put=lambda name, content: (folder / name).write_bytes(content),
        files=lambda: {str(p.relative_to(folder)): p.read_bytes() for p in found(is_part=False)},
        leftovers=lambda: [path.name for path in found(is_part=True)],
        is_tidied_later=True,  # the file of a killed process is in use until the server has noticed
        broken={
            "missing": lambda: url("nosuch"),
            "forbidden": lambda: f"{url('archive')}/{name}",
            # Another user: smbclient keeps one session for each user of a server.
            "credentials": lambda: f"{url(login='stranger')}/{name}",
            "unreachable": lambda: f"{url(port=1)}/{name}",
        },
        registration="from tests.servers import smb; smb.register()",
    )
