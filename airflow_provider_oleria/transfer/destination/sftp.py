"""SFTP: written beside the target, then renamed on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.transfer.destination import by_rename
from airflow_provider_oleria.transfer.destination.parts import part_name

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath


def check(path: ObjectStoragePath) -> None:
    """Check the server's rename, then what every store is checked for.

    :raises NotImplementedError: if the server cannot replace a file. sshfs (2026.8) would copy it there by a shell
        command: readers would see a part of it, and a server without a shell would fail after the transfer.
    :raises OSError: if the folder cannot be written.
    """
    from asyncssh import SFTPFailure, SFTPNoSuchFile, SFTPOpUnsupported
    from fsspec.asyn import sync

    _reconnect(path.fs)
    name = f"/{part_name('probe')}"
    try:
        sync(path.fs.loop, _rename, path.fs.client, name, name)
    except SFTPOpUnsupported:
        raise NotImplementedError(
            "this server cannot replace a file atomically: it is read-only, or lacks the extension "
            "posix-rename@openssh.com"
        ) from None
    except SFTPNoSuchFile:
        pass  # as it should be: the server has the operation, and there is no such file
    try:
        by_rename.check(path)
    except SFTPFailure as error:
        if "is not a directory" in str(error):  # the code of this error means any failure
            raise NotADirectoryError(str(error)) from error
        raise


def create(path: ObjectStoragePath, size: int, max_concurrency: int) -> by_rename.MovedFile:
    """A new file beside the target. While the export was prepared, the server may have closed an idle connection."""
    _reconnect(path.fs)
    return by_rename.create(path, size, max_concurrency)


def _reconnect(fs: Any) -> None:
    # Airflow and fsspec keep the filesystem for the whole process, and sshfs (2026.8) does not connect again.
    if fs.client.is_closed():
        fs.__init__(*fs.storage_args, **fs.storage_options)


async def _rename(client: Any, source: str, target: str) -> None:
    async with client.start_sftp_client() as sftp:
        await sftp.posix_rename(source, target)
