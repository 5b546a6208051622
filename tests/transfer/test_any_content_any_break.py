"""Whatever the content, however it is cut up and broken: the whole file is published, or nothing."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.connection.settings import RetryPolicy, Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.transfer.pipeline import Transferred, transfer
from airflow_provider_oleria.transfer.source import Source
from tests.fuzzing import inputs

from .store import Answer, Store

SETTINGS = Settings(
    "http://127.0.0.1",
    "https://auth.example",
    "id",
    "secret",
    timeout=5,
    retry=RetryPolicy(initial_backoff=0.001),
)

pieces = st.sampled_from(
    [
        b'"',
        b'""',
        b"\n",
        b"\r\n",
        b"\r",
        b",",
        b"a",
        b"\xff\xfe",
        b"\0",
        b"\xef\xbb\xbf",
        "ü€".encode(),
        b"x" * 5000,
    ]
)
contents = st.lists(pieces, max_size=60).map(b"".join)
# How many bytes of each answer arrive before the connection breaks; None for all of them, -1 for a 403.
breaks = st.lists(st.one_of(st.none(), st.just(-1), st.integers(0, 6000)), max_size=12)
# From what speed on a connection is left alone: it is slow from the first chunk on, from any of them on, or never.
speeds = st.sampled_from([math.inf, 1e11, 1.0])


def store(content: bytes, breaks: list[int | None]) -> Store:
    """A store whose answers break off in turn."""
    to_come = iter(breaks)

    def respond(_number: int, right: Answer) -> Answer:
        at_most = next(to_come, None)
        if at_most != -1:
            return replace(right, at_most=at_most, reset=False)
        body = b"<Error><Code>AccessDenied</Code></Error>"
        return Answer(403, {"Content-Length": str(len(body))}, body)

    return Store(respond, content)


def rows_of(content: bytes) -> int:
    """What Python's csv module reads. Latin-1 has a letter for each byte."""
    text = content.removeprefix(codecs.BOM_UTF8).decode("latin-1").lstrip("\r\n")
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    return sum(1 for row in rows if row or len(header) == 1)


def fetched(
    content: bytes, breaks: list[int | None], options: SaveOptions, fast: float
) -> tuple[Transferred | None, bytes | None]:
    with (
        TemporaryDirectory() as folder,
        store(content, breaks).serving() as url,
    ):
        file = Path(folder) / "out.csv"
        try:
            done = transfer(
                lambda: f"{url}?X-Amz-Signature=f00d",
                ObjectStoragePath(file.as_uri()),
                SETTINGS,
                options,
                partial(Source, fast_connection=fast, read_size=700),
            )
        except OleriaError:
            done = None
        assert [path.name for path in Path(folder).iterdir()] == (["out.csv"] if done else [])
        return done, file.read_bytes() if done else None


@inputs(1.5)
@given(
    content=contents, breaks=breaks, part_size=st.integers(500, 3000), parts=st.integers(1, 4), fast=speeds
)
def test_the_whole_file_or_nothing(
    content: bytes, breaks: list[int | None], part_size: int, parts: int, fast: float
) -> None:
    done, published = fetched(content, breaks, SaveOptions(max_concurrency=parts, part_size=part_size), fast)

    if done is not None:
        assert published == content
        sha256 = hashlib.sha256(content).hexdigest()
        assert (done.size_bytes, done.row_count) == (len(content), rows_of(content))
        assert (done.sha256, done.source_sha256) == (sha256, sha256)


@inputs(0.3)
@given(content=contents, parts=st.integers(1, 4), fast=speeds)
def test_without_breaks_it_is_always_published(content: bytes, parts: int, fast: float) -> None:
    done, published = fetched(content, [], SaveOptions(max_concurrency=parts, part_size=1000), fast)

    assert done is not None
    assert published == content
