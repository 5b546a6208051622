"""Presigned URL → checked file at a destination, in constant memory."""

from __future__ import annotations

import hashlib
import logging
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import requests

from airflow_provider_oleria.connection import CONNECT_TIMEOUT, Settings, is_loopback
from airflow_provider_oleria.destination import publication
from airflow_provider_oleria.errors import OleriaOutageError, OleriaTransferError, OleriaUrlExpiredError
from airflow_provider_oleria.redact import guard_library_logs
from airflow_provider_oleria.retry import Patience, retry_after
from airflow_provider_oleria.rows import RecordCounter
from airflow_provider_oleria.transport import request_fault

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True)
class Transferred:
    """What was published."""

    size_bytes: int
    row_count: int
    sha256: str


def transfer(fresh_url: Callable[[], str], destination: ObjectStoragePath, settings: Settings) -> Transferred:
    """Bring the export home: published when it is whole, discarded otherwise.

    :param fresh_url: asks the API for a presigned URL; asked again for each attempt, since a URL lives 5 minutes.
    :param destination: where the file is to stand.
    :param settings: for the limits and certificates.
    :raises OleriaTransferError: it did not arrive whole, however often it was tried.
    """
    guard_library_logs()
    patience = Patience()
    while True:
        try:
            with publication(destination) as file:
                tally = _Tally()
                for chunk in _received(fresh_url(), settings):
                    tally.add(chunk)
                    file.write(chunk)
            return tally.result()
        except OleriaOutageError as problem:
            pause = patience.pause_after(problem)
            log.warning(
                "The transfer broke: %s. Nothing is published; next attempt in %.1f s.", problem, pause
            )
        time.sleep(pause)


class _Tally:
    def __init__(self) -> None:
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._records = RecordCounter()

    def add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._sha256.update(chunk)
        self._records.add(chunk)

    def result(self) -> Transferred:
        return Transferred(self._size, self._records.rows, self._sha256.hexdigest())


def _received(url: str, settings: Settings) -> Iterator[bytes]:
    """The file's bytes, decoded; ends normally only when all of them came."""
    if not url.startswith("https://") and not is_loopback(url):
        raise OleriaTransferError(
            "the presigned URL is not https: it is a credential, and not sent in plain text"
        )
    problem: OleriaOutageError
    try:
        with _opened(url, settings) as response:
            yield from _decoded(_raw_chunks(response), response.headers.get("Content-Encoding", ""))
    except requests.RequestException as error:
        problem = request_fault(error, url)
    else:
        return
    # Raised here, not above: requests' own text would follow it into the traceback, whole URL included.
    raise problem


@contextmanager
def _opened(url: str, settings: Settings) -> Iterator[requests.Response]:
    with requests.Session() as session:
        # No credentials but the URL itself: S3 refuses a request with two kinds, and requests would look into ~/.netrc.
        session.auth = _no_auth
        with session.get(
            url,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_TIMEOUT, settings.timeout),
            verify=settings.verify,
            headers={"Accept-Encoding": "identity"},
        ) as response:
            if response.status_code != 200:
                raise _refusal(response)
            yield response


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _refusal(response: requests.Response) -> OleriaTransferError:
    # S3 explains itself in XML; the rest of that body repeats the request.
    code = re.search(rb"<Code>(\w+)</Code>", next(response.iter_content(4096), b""))
    said = f"the store answered {response.status_code} {code[1].decode() if code else ''}".rstrip()
    if response.status_code == 403:
        return OleriaUrlExpiredError(f"{said}: the presigned URL is not accepted (any more)")
    problem = OleriaTransferError(said)
    problem.retry_after = retry_after(response.headers, time.time())
    return problem


def _raw_chunks(response: requests.Response) -> Iterator[bytes]:
    announced = response.headers.get("Content-Length")
    received = 0
    try:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            received += len(chunk)
            yield chunk
    except Exception as error:
        raise requests.ConnectionError(error) from error
    if announced is not None and received != int(announced):
        raise OleriaTransferError(f"{received} bytes came where {announced} were announced")


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _decoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The bytes without their Content-Encoding; S3 sends what was stored, whatever Accept-Encoding says."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity", "aws-chunked"):
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise OleriaTransferError(
            f"the file comes with Content-Encoding {encoding!r}, which is not understood"
        )
    decoder: _Decoder = _new_decoder()
    for chunk in chunks:
        while chunk:
            if decoder.eof:
                decoder = _new_decoder()  # gzip files may be put one after another
            try:
                yield decoder.decompress(chunk)
            except zlib.error as error:
                raise OleriaTransferError(f"the file is not the {encoding} it says it is: {error}") from error
            chunk = decoder.unused_data
    if not decoder.eof:
        raise OleriaTransferError(f"the {encoding} stream ends before its end")


def _new_decoder() -> _Decoder:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, by its header
