"""An error of a store's filesystem → ours, fatal if a retry will not help."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from airflow_provider_oleria.exceptions import OleriaDestinationError, OleriaInputError
from airflow_provider_oleria.net.redaction import quoted

if TYPE_CHECKING:
    from airflow_provider_oleria.compat import ObjectStoragePath

_FATAL_ERRNOS: Final = {
    errno.EPERM,
    errno.ENOENT,
    errno.ENXIO,
    errno.EACCES,
    errno.EEXIST,
    errno.EXDEV,
    errno.ENODEV,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOSYS,
    errno.EILSEQ,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}

# For filesystems that raise them without an errno, and for malformed credentials.
_FATAL_CLASSES: Final = (
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    NotImplementedError,
    ValueError,
    LookupError,
    TypeError,
)

# Of clients, which are imported only where they are used: azure.core, google.auth, asyncssh, smbprotocol, ftplib.
_FATAL_NAMES: Final = {
    "ClientAuthenticationError",
    "DefaultCredentialsError",
    "MalformedError",
    "RefreshError",
    "PermissionDenied",
    "HostKeyNotVerifiable",
    "KeyImportError",
    "KeyExchangeFailed",
    "LogonFailure",
    "SMBAuthenticationError",
    "SFTPPermissionDenied",
    "SFTPNoSuchFile",
    "SFTPNoSuchPath",
    "SFTPNotADirectory",
    "SFTPFileIsADirectory",
    "SFTPWriteProtect",
    "SFTPOpUnsupported",
    "SFTPInvalidFilename",
    "SFTPBadMessage",  # OpenSSH's for ENAMETOOLONG and EINVAL
    "error_perm",
}

_TRANSIENT_STATUS: Final = {408, 409, 412, 425, 429}

# What smbprotocol (1.17) gives errno 0, or EPERM where another process has the file open.
_SMB_ERRNOS: Final = {
    0xC0000022: errno.EACCES,  # STATUS_ACCESS_DENIED
    0xC0000033: errno.EINVAL,  # STATUS_OBJECT_NAME_INVALID
    0xC0000043: errno.EBUSY,  # STATUS_SHARING_VIOLATION
}


def store_error(
    path: ObjectStoragePath | str, error: Exception, verb: str = "written"
) -> OleriaInputError | OleriaDestinationError:
    """The error that names the destination, the cause and the Connection to look at."""
    cause = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
    # Azure appends the id and the XML of the response, and has a code beside the text.
    cause = cause.partition("\nRequestId:")[0].rstrip(": .") or type(error).__name__
    if isinstance(code := getattr(error, "error_code", None), str):
        cause += f" ({getattr(code, 'value', code)})"
    text = f"destination {str(path)!r} cannot be {verb}: {quoted(cause)}"
    if conn_id := urlsplit(str(path)).netloc.rpartition("@")[0]:
        text += f". Check the Airflow Connection {conn_id!r} and its rights"
    return (OleriaInputError if _is_fatal(error) else OleriaDestinationError)(text)


def _is_fatal(error: Exception) -> bool:
    if isinstance(error, ValueError) and isinstance(error.__cause__, OSError):
        error = error.__cause__  # smbprotocol's for a connection that is refused
    if isinstance(error, OSError):
        number = _SMB_ERRNOS.get(getattr(error, "ntstatus", 0), error.errno)
        if number:
            return number in _FATAL_ERRNOS
    # azure.core calls the HTTP status ``status_code``, gcsfs ``code``; requests has it in the response.
    response = getattr(error, "response", None)
    status = (
        getattr(error, "status_code", None)
        or getattr(error, "code", None)
        or getattr(response, "status_code", None)
    )
    if isinstance(status, int) and status >= 100:  # asyncssh has small numbers there
        return 400 <= status < 500 and status not in _TRANSIENT_STATUS
    if getattr(error, "retryable", False):  # google.auth
        return False
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, _FATAL_CLASSES) or not names.isdisjoint(_FATAL_NAMES)
