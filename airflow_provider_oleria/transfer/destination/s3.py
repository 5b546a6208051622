"""S3: one PUT, or a multipart upload with several parts in flight. Nothing is visible before it is complete.

All requests go through s3fs' ``call_s3``, so that credentials, endpoint, encryption and ACL of the Airflow Connection
apply. s3fs' own file object (2026.9) sends one part at a time.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_oleria.transfer.destination.in_parts import UploadInParts

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

log = logging.getLogger(__name__)

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
    return S3Upload(path, size, max_concurrency)


class S3Upload(UploadInParts):
    """One PUT, or a multipart upload."""

    def __init__(self, path: ObjectStoragePath, size: int, max_concurrency: int) -> None:
        super().__init__(size, max_concurrency)
        self._path = path
        self._upload_id = ""

    def open(self) -> None:
        """Abort the incomplete uploads of killed processes; the first part starts this one."""
        _abort_leftovers(self._path)

    def publish(self) -> None:
        """Complete the object."""
        super().publish()
        self._path.fs.invalidate_cache(self._path.path)

    def _begin(self) -> None:
        self._upload_id = _call(self._path, "create_multipart_upload")["UploadId"]

    def _send_part(self, number: int, data: bytearray) -> dict[str, Any]:
        # Not as a file, which would take less memory: s3fs (2026.9) repeats a call without seeking back.
        sent = self._call("upload_part", PartNumber=number, Body=data)
        checksum = {name: sent[name] for name in ("ChecksumSHA256",) if name in sent}
        return {"PartNumber": number, "ETag": sent["ETag"], **checksum}

    def _complete(self, parts: list[dict[str, Any]]) -> None:
        self._call("complete_multipart_upload", MultipartUpload={"Parts": parts})

    def _put(self, data: bytes) -> None:
        _call(self._path, "put_object", Body=data)

    def _abort(self) -> None:
        if self._upload_id:
            self._call("abort_multipart_upload")

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
