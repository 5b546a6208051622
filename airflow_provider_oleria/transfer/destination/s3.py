"""S3: one PUT, or a multipart upload with several parts in flight. Nothing is visible before it is complete.

All requests go through s3fs' ``call_s3``, so that credentials, endpoint, encryption and ACL of the Airflow Connection
apply. s3fs' own file object (2026.9) sends one part at a time.
"""

from __future__ import annotations

import errno
import logging
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)

_PART_SIZE: Final = 5 * 1024 * 1024
"""Bytes of a part, the smallest S3 accepts: ``max_concurrency`` of them are held in memory."""

_MAX_PARTS: Final = 9_000
"""Parts of one upload; S3 accepts 10,000. Parts of larger files are larger."""

# s3fs raises these as FileNotFoundError, PermissionError or EINVAL. The next try starts another upload.
_TRANSIENT_CODES: Final = ("BadDigest", "ExpiredToken", "IncompleteBody", "NoSuchUpload")

# A store without multipart uploads can still take a small file.
_UNSUPPORTED_CODES: Final = ("MethodNotAllowed", "NotImplemented", "405", "501")


def check(path: ObjectStoragePath) -> None:
    """Begin a multipart upload and abort it: this needs the right to write, and leaves no object."""
    try:
        begun = _call(path, "create_multipart_upload")
    except OSError as error:
        if _code(error) not in _UNSUPPORTED_CODES:
            raise
        log.warning(
            "The store of %s has no multipart uploads (%s): a file over 5 MiB will fail.", path, error
        )
        return
    try:
        _call(path, "abort_multipart_upload", UploadId=begun["UploadId"])
    except Exception as error:
        log.warning(
            "An empty multipart upload to %s could not be aborted: %s. It is invisible; allow "
            "s3:AbortMultipartUpload, or add a lifecycle rule for incomplete uploads.",
            path,
            error,
        )


def create(path: ObjectStoragePath, size: int, max_concurrency: int) -> S3Upload:
    """A new object."""
    return S3Upload(path, max(_PART_SIZE, size // _MAX_PARTS + 1), max_concurrency)


class S3Upload:
    """An object that is sent while it is written.

    :param part_size: bytes of each part but the last. A smaller object is sent with one PUT.
    :param max_concurrency: parts in flight.
    """

    def __init__(self, path: ObjectStoragePath, part_size: int, max_concurrency: int) -> None:
        self._path = path
        self._part_size = part_size
        self._max_concurrency = max_concurrency
        self._pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix="oleria-upload")
        self._in_flight: set[Future[dict[str, Any]]] = set()
        self._parts: list[dict[str, Any]] = []
        self._sent = 0
        self._upload_id = ""
        self._buffer = bytearray()

    def open(self) -> None:
        """Abort the incomplete uploads of killed processes; the first part starts this one."""
        _abort_leftovers(self._path)

    def write(self, data: bytes, /) -> None:
        """Append ``data``; waits while ``max_concurrency`` parts are in flight."""
        rest = memoryview(data)
        while len(self._buffer) + len(rest) > self._part_size:
            room = self._part_size - len(self._buffer)
            self._buffer += rest[:room]
            rest = rest[room:]
            self._send()
        self._buffer += rest

    def publish(self) -> None:
        """Complete the object."""
        if self._upload_id:
            self._send()
            self._collect(FIRST_EXCEPTION)
            parts = sorted(self._parts, key=lambda part: part["PartNumber"])
            self._call("complete_multipart_upload", MultipartUpload={"Parts": parts})
        else:
            _call(self._path, "put_object", Body=bytes(self._buffer))
        self._pool.shutdown()
        self._path.fs.invalidate_cache(self._path.path)

    def discard(self) -> None:
        """Abort the upload, after the parts in flight: S3 would keep those that arrive later."""
        self._pool.shutdown(cancel_futures=True)
        if self._upload_id:
            self._call("abort_multipart_upload")

    def _send(self) -> None:
        if not self._upload_id:
            self._upload_id = _call(self._path, "create_multipart_upload")["UploadId"]
        if len(self._in_flight) == self._max_concurrency:
            self._collect(FIRST_COMPLETED)
        self._sent += 1
        self._in_flight.add(self._pool.submit(self._send_part, self._sent, self._buffer))
        self._buffer = bytearray()

    def _send_part(self, number: int, data: bytearray) -> dict[str, Any]:
        sent = self._call("upload_part", PartNumber=number, Body=data)
        checksum = {name: sent[name] for name in ("ChecksumSHA256",) if name in sent}
        return {"PartNumber": number, "ETag": sent["ETag"], **checksum}

    def _collect(self, until: str) -> None:
        done, self._in_flight = wait(self._in_flight, return_when=until)
        self._parts += [part.result() for part in done]

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return _call(self._path, operation, UploadId=self._upload_id, **arguments)


def _abort_leftovers(path: ObjectStoragePath) -> None:
    """Abort uploads to this very key that were never completed: invisible, but charged for."""
    bucket, key, _ = path.fs.split_path(path.path)
    try:
        for upload in path.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key).get("Uploads", []):
            if upload["Key"] == key:
                _call(path, "abort_multipart_upload", UploadId=upload["UploadId"])
                log.info("Aborted an upload to %s, left behind by a process that was killed.", path)
    except Exception as error:  # the rights to list and abort are not needed to write
        log.debug("Incomplete uploads to %s could not be removed: %s", path, error)


def _call(path: ObjectStoragePath, operation: str, **arguments: Any) -> dict[str, Any]:
    bucket, key, _ = path.fs.split_path(path.path)
    try:
        return dict(path.fs.call_s3(operation, Bucket=bucket, Key=key, **arguments) or {})
    except OSError as error:
        if _code(error) in _TRANSIENT_CODES:
            raise OSError(errno.EAGAIN, str(error)) from error
        raise


def _code(error: OSError) -> str:
    """The S3 error code behind an error of s3fs."""
    return str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))
