"""Removes a stored object's Content-Encoding: S3 sends what was stored, whatever the request accepts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from airflow_provider_oleria.exceptions import OleriaTransferError

_NONE: Final = ("", "identity", "aws-chunked")

UNDERSTOOD: Final = (*_NONE, "gzip", "x-gzip", "deflate")
"""Values of the header, in lower case, that :func:`decoded` accepts."""

_MAX_NAME: Final = 12
"""Characters of the longest unknown encoding that is named; those registered at IANA are shorter."""

_MAX_DECODED: Final = 1024 * 1024
"""Bytes to decode at a time: one megabyte of gzip may hold a gigabyte."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Decode a body.

    :param chunks: the body as received.
    :param encoding: the header's value, in lower case.
    :return: the chunks without their Content-Encoding.
    :raises OleriaTransferError: the encoding is unknown, or the body is not encoded like that.
    """
    if encoding in _NONE:
        yield from chunks
        return
    if encoding not in UNDERSTOOD:
        # In lower case, a credential in it would not be recognised.
        name = repr(encoding) if encoding.isalnum() and len(encoding) <= _MAX_NAME else "value"
        raise OleriaTransferError(f"the file has the unknown Content-Encoding {name}")
    decoder: _Decoder | None = None
    for received in chunks:
        chunk = received
        while chunk:
            if decoder is None or decoder.eof:  # a gzip file may have several members
                decoder = _new_decoder(encoding, chunk[0])
            yield _decompressed(decoder, chunk, encoding)
            chunk = decoder.unused_data or decoder.unconsumed_tail
    while decoder and not decoder.eof and (rest := _decompressed(decoder, b"", encoding)):
        yield rest
    if not (decoder and decoder.eof):
        raise OleriaTransferError(f"the file is incomplete: its {encoding} stream has no end")


def _decompressed(decoder: _Decoder, data: bytes, encoding: str) -> bytes:
    try:
        return decoder.decompress(data, _MAX_DECODED)
    except zlib.error as error:
        raise OleriaTransferError(f"the file is not valid {encoding}: {error}") from error


def _new_decoder(encoding: str, first_byte: int) -> _Decoder:
    if (
        encoding == "deflate" and first_byte & 0x0F != 8
    ):  # no zlib header: raw deflate, which some servers send
        return zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, by its header
