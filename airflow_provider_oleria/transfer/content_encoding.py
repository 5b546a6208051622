"""Removes a stored object's Content-Encoding: S3 sends what was stored, whatever the request accepts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from airflow_provider_oleria.exceptions import OleriaTransferError

_NONE: Final = ("", "identity", "aws-chunked")

UNDERSTOOD: Final = (*_NONE, "gzip", "x-gzip", "deflate")
"""Values of the header, in lower case, that :func:`decoded` accepts."""

_MAX_NAME: Final = 12
"""Characters of the longest unknown encoding that is named; those registered at IANA are shorter."""

_MAX_DECODED: Final = 1024 * 1024
"""Bytes to decode at a time: one megabyte of gzip may hold a gigabyte."""


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
    try:
        yield from _inflated(chunks, encoding)
    except zlib.error as error:
        raise OleriaTransferError(f"the file is not valid {encoding}: {error}") from error


def _inflated(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = None
    for received in chunks:
        chunk = received
        while chunk:
            if decoder is None or decoder.eof:  # a gzip file may have several members
                decoder = zlib.decompressobj(_window_bits(encoding, chunk[0]))
            yield decoder.decompress(chunk, _MAX_DECODED)
            chunk = decoder.unused_data or decoder.unconsumed_tail
    while decoder and not decoder.eof and (rest := decoder.decompress(b"", _MAX_DECODED)):
        yield rest
    if not (decoder and decoder.eof):
        raise OleriaTransferError(f"the file is incomplete: its {encoding} stream has no end")


def _window_bits(encoding: str, first_byte: int) -> int:
    if encoding == "deflate" and first_byte & 0x0F != 8:
        return -zlib.MAX_WBITS  # no zlib header: raw deflate, which some servers send
    return zlib.MAX_WBITS | 32  # gzip or zlib, by its header
