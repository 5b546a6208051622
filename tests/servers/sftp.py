"""An SFTP server of asyncssh, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.servers.stores import Store, connection

PASSWORD = "open sesame"


@contextmanager
def serving(root: Path, *, read_only: bool = False, renames: bool = True) -> Iterator[int]:
    """The port of a server that shows a folder as its root.

    :param read_only: whether it refuses to open files for writing.
    :param renames: whether it has the extension ``posix-rename@openssh.com``.
    """
    import asyncssh
    from asyncssh import sftp

    class Login(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return password == PASSWORD

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(root).encode())

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            if read_only and pflags & sftp.FXF_WRITE:
                raise asyncssh.SFTPPermissionDenied("Permission denied")
            return super().open(path, pflags, attrs)

    class Handler(sftp.SFTPServerHandler):
        _extensions = [  # noqa: RUF012  # as asyncssh declares it
            extension
            for extension in sftp.SFTPServerHandler._extensions
            if renames or extension[0] != b"posix-rename@openssh.com"
        ]

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Any:
        key = asyncssh.generate_private_key("ssh-ed25519")
        return await asyncssh.create_server(Login, "127.0.0.1", 0, server_host_keys=[key], sftp_factory=Files)

    patch = pytest.MonkeyPatch()
    patch.setattr(sftp, "SFTPServerHandler", Handler)
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server.get_port()
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        patch.undo()


def sftp_connection(monkeypatch: pytest.MonkeyPatch, port: int, **fields: object) -> str:
    return connection(
        monkeypatch,
        **{
            "conn_type": "sftp",
            "host": "127.0.0.1",
            "port": port,
            "login": "lake",
            "password": PASSWORD,
            **fields,
        },
    )


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A folder behind an SFTP server."""
    if find_spec("sshfs") is None:
        pytest.skip("sshfs is needed: make test-stores")
    folder = tmp_path / "lake"
    folder.mkdir()
    (tmp_path / "file").touch()

    def found() -> list[Path]:
        return [path for path in folder.rglob("*") if path.is_file()]

    def is_part(path: Path) -> bool:
        return path.name.startswith(".")

    def conn_id(port: int, **fields: object) -> str:
        return sftp_connection(monkeypatch, port, **fields)

    with serving(tmp_path) as port, serving(tmp_path, read_only=True) as read_only:
        yield Store(
            url=f"sftp://{conn_id(port)}@server/lake",
            put=lambda name, content: (folder / name).write_bytes(content),
            files=lambda: {str(p.relative_to(folder)): p.read_bytes() for p in found() if not is_part(p)},
            leftovers=lambda: [path.name for path in found() if is_part(path)],
            broken={
                "missing": lambda: f"sftp://{conn_id(port)}@server/file",
                "forbidden": lambda: f"sftp://{conn_id(read_only)}@server/lake",
                "credentials": lambda: f"sftp://{conn_id(port, password='guess')}@server/lake",
                "unreachable": lambda: f"sftp://{conn_id(1)}@server/lake",
            },
        )
