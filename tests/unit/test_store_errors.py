"""Which errors of a store a retry may change."""

from __future__ import annotations

import errno
import os
from ftplib import error_perm, error_temp

import pytest

from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.exceptions import OleriaDestinationError, OleriaInputError
from airflow_provider_oleria.transfer.destination.errors import store_error

PATH = ObjectStoragePath("memory://lake/out.csv")

FATAL = [
    "EPERM",
    "ENOENT",
    "EACCES",
    "EEXIST",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "EROFS",
    "ENAMETOOLONG",
    "ELOOP",
]
TRANSIENT = [
    "ENOSPC",
    "EDQUOT",
    "EIO",
    "ETIMEDOUT",
    "ESTALE",
    "EBUSY",
    "ECONNRESET",
    "EAGAIN",
    "ENOLCK",
    "EMFILE",
]


class HttpError(Exception):
    """As gcsfs and azure.core have one."""

    def __init__(self, text: str, **status: object) -> None:
        super().__init__(text)
        vars(self).update(status)


class RefreshError(HttpError):
    """As google.auth has one."""


class SMBOSError(OSError):
    """As smbprotocol has one."""

    def __init__(self, number: int, ntstatus: int) -> None:
        super().__init__(number, "Unknown NtStatus error returned")
        self.ntstatus = ntstatus


def of_errno(name: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "error",
    [
        *(of_errno(name) for name in FATAL),
        FileNotFoundError("the bucket does not exist"),
        PermissionError(),
        KeyError("private_key"),
        HttpError("no such container", status_code=404),
        HttpError("forbidden", code=403),
        HttpError("no such bucket", status_code=400),
        RefreshError("the account was deleted"),
        SMBOSError(0, 0xC0000022),
        SMBOSError(0, 0xC0000033),
        SMBOSError(errno.ENOENT, 0xC000003A),
        error_perm("550 Not enough privileges."),  # noqa: S321  # no connection
    ],
    ids=repr,
)
def test_a_retry_does_not_help(error: Exception) -> None:
    assert isinstance(store_error(PATH, error), OleriaInputError)


@pytest.mark.parametrize(
    "error",
    [
        *(of_errno(name) for name in TRANSIENT),
        TimeoutError(),
        ConnectionResetError("reset"),
        HttpError("unavailable", status_code=503),
        HttpError("too many", code=429),
        HttpError("broken", code="InternalError"),
        HttpError("conflict", status_code=409),
        HttpError("moved", status_code=301),
        RefreshError("the metadata server does not respond", retryable=True),
        SMBOSError(errno.EPERM, 0xC0000043),
        SMBOSError(0, 0xC000007F),
        error_temp("421 Too many connections"),  # noqa: S321  # as above
    ],
    ids=repr,
)
def test_a_retry_may_help(error: Exception) -> None:
    assert isinstance(store_error(PATH, error), OleriaDestinationError)


def test_the_errno_decides_not_the_class() -> None:
    """A full disk that some filesystem reports with a class of its own."""
    full = PermissionError()
    full.errno = errno.ENOSPC
    assert isinstance(store_error(PATH, full), OleriaDestinationError)


def test_a_refused_connection_in_a_value_error_is_still_one() -> None:
    error = ValueError("Failed to connect")
    error.__cause__ = of_errno("ECONNREFUSED")
    assert isinstance(store_error(PATH, error), OleriaDestinationError)


def test_the_text_names_destination_cause_and_connection() -> None:
    path = ObjectStoragePath("s3://store_id@lake/out.csv")
    text = str(store_error(path, HttpError("", status_code=403)))

    assert "'s3://store_id@lake/out.csv' cannot be written: HttpError." in text
    assert "Check the Airflow Connection 'store_id'" in text


def test_the_text_has_the_code_of_azure_and_not_the_xml_of_its_response() -> None:
    error = HttpError(
        "The specified container does not exist.\nRequestId:1f2e\n<?xml", error_code="ContainerNotFound"
    )

    assert str(store_error(PATH, error)) == (
        f"destination {str(PATH)!r} cannot be written: HttpError: The specified container does not exist "
        "(ContainerNotFound)"
    )


def test_a_signature_in_an_error_of_another_library_is_not_repeated() -> None:
    error = HttpError("403 for https://account.blob.example/c?sig=c2VjcmV0&se=2026", status_code=403)
    assert "c2VjcmV0" not in str(store_error(PATH, error))
