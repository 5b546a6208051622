"""Content-Encoding: what servers send under each name, wherever the chunks are cut."""

from __future__ import annotations

import gzip
import zlib

import pytest

from airflow_provider_oleria.exceptions import OleriaTransferError
from airflow_provider_oleria.transfer.content_encoding import decoded

CONTENT = b"id,name\n" + b"".join(b"%d,person %d\n" % (row, row * row) for row in range(2000))


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def unpacked(body: bytes, encoding: str, size: int) -> bytes:
    return b"".join(decoded((body[start : start + size] for start in range(0, len(body), size)), encoding))


BODIES = {
    "identity": ("", CONTENT),
    "gzip": ("gzip", gzip.compress(CONTENT)),
    "two members": ("x-gzip", gzip.compress(CONTENT[:500]) + gzip.compress(CONTENT[500:])),
    "deflate with a zlib header": ("deflate", zlib.compress(CONTENT)),
    "raw deflate": ("deflate", raw_deflate(CONTENT)),
    "raw deflate of nothing": ("deflate", raw_deflate(b"")),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("encoding", "body"), BODIES.values(), ids=BODIES.keys())
def test_the_content_comes_out(encoding: str, body: bytes, size: int) -> None:
    assert unpacked(body, encoding, size) == (CONTENT if len(body) > 10 else b"")


@pytest.mark.parametrize(("encoding", "body"), list(BODIES.values())[1:], ids=list(BODIES)[1:])
def test_a_body_without_its_end_is_incomplete(encoding: str, body: bytes) -> None:
    with pytest.raises(OleriaTransferError, match="incomplete"):
        unpacked(body[:-1], encoding, 1000)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("gzip", "not valid gzip"), ("deflate", "not valid deflate"), ("br", "unknown .*'br'")],
)
def test_another_encoding_is_refused(encoding: str, said: str) -> None:
    with pytest.raises(OleriaTransferError, match=said):
        unpacked(b"id,name\n1,2\n", encoding, 100)
