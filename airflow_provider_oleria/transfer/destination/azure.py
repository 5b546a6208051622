"""Azure Blob Storage and Data Lake: blocks in flight, one commit of their list. Nothing is visible before.

adlfs' own file object (2026.8) sends one block at a time and has no way to give up an upload. All requests therefore go
through the client that the filesystem object holds (azure-storage-blob), so that the Airflow Connection applies.
"""

from __future__ import annotations

import errno
import secrets
from typing import TYPE_CHECKING, Any

from airflow_provider_oleria.transfer.destination.in_parts import UploadInParts

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath


def check(path: ObjectStoragePath) -> None:
    """Send a block that is never committed: this needs the right to write, and changes no blob.

    The block is invisible. The next commit removes it, or else Azure after a week.
    """
    # By default the client tries four times, and takes minutes to report that the store cannot be reached.
    _call(path, "stage_block", block_id=_block_id(_new_prefix(), 0), data=b"check", retry_total=1)


def create(path: ObjectStoragePath, size: int, max_concurrency: int) -> BlobUpload:
    """A new blob."""
    return BlobUpload(path, size, max_concurrency)


class BlobUpload(UploadInParts):
    """One Put Blob, or blocks and the commit of their list."""

    def __init__(self, path: ObjectStoragePath, size: int, max_concurrency: int) -> None:
        super().__init__(size, max_concurrency)
        self._path = path
        self._prefix = _new_prefix()

    def open(self) -> None:
        """Nothing to do: the blocks of killed processes vanish with the next commit."""

    def publish(self) -> None:
        """Complete the blob."""
        super().publish()
        self._path.fs.invalidate_cache(self._path.path)

    def _begin(self) -> None:
        """A block needs no upload to belong to."""

    def _send_part(self, number: int, data: bytearray) -> Any:
        block_id = _block_id(self._prefix, number)
        _call(self._path, "stage_block", block_id=block_id, data=bytes(data))
        return block_id

    def _complete(self, parts: list[Any]) -> None:
        from azure.storage.blob import BlobBlock

        _call(self._path, "commit_block_list", block_list=[BlobBlock(block_id) for block_id in parts])

    def _put(self, data: bytes) -> None:
        _call(self._path, "upload_blob", data=data, overwrite=True)

    def _abort(self) -> None:
        """Azure has no call that removes uncommitted blocks; it removes them after a week."""


def _new_prefix() -> str:
    """Of the blocks of one upload: another process may send blocks of the same blob."""
    return secrets.token_hex(12)


def _block_id(prefix: str, number: int) -> str:
    """32 characters, as in adlfs: Azure requires that all blocks of a blob have ids of one length."""
    return f"{prefix}{number:08d}"


def _call(path: ObjectStoragePath, operation: str, **arguments: Any) -> None:
    from fsspec.asyn import sync

    # Not by adlfs, which takes ':', '[' and '?' for parts of a URL.
    container, _, name = path.path.partition("/")

    async def call() -> None:
        client = path.fs.service_client.get_blob_client(container, name)
        await getattr(client, operation)(**arguments)

    try:
        sync(path.fs.loop, call)
    except Exception as error:
        if getattr(error, "error_code", None) == "InvalidBlockList":
            # Another process has committed, which removes all other blocks. The next try sends them again.
            raise OSError(errno.EAGAIN, f"another process wrote {path} at the same time") from error
        raise
