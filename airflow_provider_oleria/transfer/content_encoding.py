"""Takes a stored object's Content-Encoding off again: S3 sends what was stored, whatever was asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from airflow_provider_oleria.exceptions import OleriaTransferError

_NONE: Final = ("", "identity", "aws-chunked")

UNDERSTOOD: Final = (*_NONE, "gzip", "x-gzip", "deflate")
"""Values of the header, in lower case, that can be taken off."""

_AT_MOST: Final = 1024 * 1024
"""Bytes to unpack at a time: a megabyte of gzip may hold a gigabyte."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The bytes without their Content-Encoding.

    :param encoding: the header's value, in lower case.
    :raises OleriaTransferError: the encoding is not known, or the bytes are not what it says.
    """
    if encoding in _NONE:
        yield from chunks
        return
    if encoding not in UNDERSTOOD:
        raise OleriaTransferError(
            f"the file comes with Content-Encoding {encoding!r}, which is not understood"
        )
    decoder = _new_decoder()
    for received in chunks:
        chunk = received
        while chunk:
            if decoder.eof:
                decoder = _new_decoder()  # gzip files may be put one after another
            try:
                yield decoder.decompress(chunk, _AT_MOST)
            except zlib.error as error:
                raise OleriaTransferError(f"the file is not the {encoding} it says it is: {error}") from error
            chunk = decoder.unused_data or decoder.unconsumed_tail
    while not decoder.eof and (rest := decoder.decompress(b"", _AT_MOST)):
        yield rest
    if not decoder.eof:
        raise OleriaTransferError(f"the {encoding} stream ends before its end")


def _new_decoder() -> _Decoder:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, by its header
