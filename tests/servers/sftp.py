"""OpenSSH's SFTP server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from getpass import getuser
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers.processes import end_sessions, free_port, listens, until
from tests.servers.stores import Store, connection

CONFIG = """
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Sshd:
    """A server with a port for each kind of SFTP.

    :param key: file with the private key of the user who may log in.
    :param another_key: file with the key of another user.
    :param port: of all that OpenSSH can do.
    :param read_only: port of a server that refuses to write.
    :param without_rename: port of a server without the extension ``posix-rename@openssh.com``.
    :param pid: of the process.
    """

    key: Path
    another_key: Path
    port: int
    read_only: int
    without_rename: int
    pid: int

    def disconnect(self) -> None:
        """End all connections."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        end_sessions({int(child) for child in children})  # each has a session of its own

    def conn_id(self, monkeypatch: pytest.MonkeyPatch, port: int, key: Path | None = None) -> str:
        """The id of a Connection to one of the ports."""
        return connection(
            monkeypatch,
            conn_type="sftp",
            host="127.0.0.1",
            port=port,
            login=getuser(),
            extra={"key_file": str(key or self.key)},
        )


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A process of OpenSSH's server, which the user of the tests may log in to."""
    # Debian has it outside of a user's PATH.
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None or find_spec("sshfs") is None:
        pytest.skip("sshfs and sshd are needed: apt-get install openssh-server; make test-stores")
    import asyncssh

    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user", "another"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        (folder / name).chmod(0o600)
        key.write_public_key(folder / f"{name}.pub")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its sandbox; made by systemd as a rule
    ports = [free_port() for _ in range(3)]
    config = folder / "sshd_config"
    config.write_text(
        "".join(f"Port {port}\n" for port in ports)
        + CONFIG.format(folder=folder)
        + f"Match LocalPort {ports[1]}\nForceCommand internal-sftp -R\n"
        + f"Match LocalPort {ports[2]}\nForceCommand internal-sftp -P posix-rename\n"
    )
    process = subprocess.Popen([program, "-D", "-f", config, "-E", folder / "log"])
    try:
        until(lambda: process.poll() is not None or all(map(listens, ports)), "sshd listens")
        assert process.poll() is None, (folder / "log").read_text()
        yield Sshd(folder / "user", folder / "another", *ports, process.pid)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def sftp(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A folder behind an SFTP server."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (tmp_path / "file").touch()

    def found(*, is_part: bool) -> list[Path]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if path.name.startswith(".") == is_part]

    def url(path: Path, port: int = sshd.port, key: Path | None = None) -> str:
        return f"sftp://{sshd.conn_id(monkeypatch, port, key)}@server{path}"

    return Store(
        url=url(folder),
        put=lambda name, content: (folder / name).write_bytes(content),
        files=lambda: {str(p.relative_to(folder)): p.read_bytes() for p in found(is_part=False)},
        leftovers=lambda: [path.name for path in found(is_part=True)],
        broken={
            "missing": lambda: url(tmp_path / "file"),
            "forbidden": lambda: url(folder, sshd.read_only),
            "credentials": lambda: url(folder, key=sshd.another_key),
            "unreachable": lambda: url(folder, 1),
        },
    )
