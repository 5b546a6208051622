"""What a store may answer, and what is made of it: the same object, whole, or an error that respond what is wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_oleria.compat import ObjectStoragePath
from airflow_provider_oleria.connection.settings import RetryPolicy, Settings
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaObjectChangedError,
    OleriaRetriesExhaustedError,
)
from airflow_provider_oleria.transfer.pipeline import transfer

from .store import CONTENT, ONE_STREAM, PARTS, ROWS, SHORT_PAUSES, SLOW, Answer, Line, Store, either_way


def rightly(_: int, answer: Answer) -> Answer:
    return answer


@either_way
def test_a_store_as_it_should_be(line: Line, options: SaveOptions) -> None:
    store = Store(rightly)
    done = line.transfer(store, options)

    line.assert_whole()
    assert done.row_count == ROWS
    assert store.conditions == [None, *['"one"'] * (len(store.ranges) - 1)]


# -- another object, or another stretch of it ---------------------------------------------------------------------


def test_other_bytes_than_requested_are_not_taken(line: Line) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        wrong = answer.but(Content_Range=f"bytes 0-99999/{len(CONTENT)}")
        return wrong if answer.status == 206 else answer

    with pytest.raises(OleriaRetriesExhaustedError, match="sent other bytes than requested"):
        line.transfer(Store(respond), PARTS)
    line.assert_nothing()


def test_a_range_that_is_cut_short_is_continued(line: Line) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        if answer.status == 200 or number > 4:
            return answer
        first, _, total = re.split(r"[-/]", answer.headers["Content-Range"].removeprefix("bytes "))
        body = answer.body[:1000]
        return replace(answer, body=body).but(
            Content_Range=f"bytes {first}-{int(first) + 999}/{total}", Content_Length="1000"
        )

    line.transfer(Store(respond), PARTS)
    line.assert_whole()


@either_way
@pytest.mark.parametrize("status", [200, 403, 412], ids=str)
@pytest.mark.parametrize(
    "end",
    ["HTTP/1.1 ", "\r\n", 'ETag: "', "Content-Length: 1", "Content-Range: bytes 1"],
    ids=["status", "line", "ETag", "length", "range"],
)
def test_a_header_that_is_cut_is_a_broken_line(
    line: Line, options: SaveOptions, status: int, end: str
) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        if number % 2:  # the next attempt succeeds
            return replace(answer, status=answer.status if status == 200 else status, header_ends=end)
        return answer

    store = Store(respond)
    line.transfer(store, options)

    line.assert_whole()
    assert store.urls.count(store.urls[0]) == len(store.urls)  # one URL was enough


@pytest.mark.parametrize(
    "another",
    [
        lambda answer: answer.but(ETag='"two"'),
        lambda answer: answer.but(without=("ETag",)),
        lambda answer: answer.but(Content_Range=answer.headers["Content-Range"].replace("/", "/9")),
    ],
    ids=["another ETag", "no ETag any more", "another length"],
)
def test_a_part_of_another_object_is_never_spliced_in(
    line: Line, another: Callable[[Answer], Answer]
) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        return another(answer) if answer.status == 206 else answer

    with pytest.raises(OleriaObjectChangedError, match="was replaced in the store"):
        line.transfer(Store(respond), PARTS)
    line.assert_nothing()


def test_an_object_that_changes_before_its_first_byte_is_not_cut_to_the_length_of_the_other(
    line: Line,
) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        shorter = replace(answer, body=CONTENT[:-14], at_most=0).but(Content_Length=str(len(CONTENT) - 14))
        return (shorter if number == 1 else answer).but(without=("ETag",))

    line.transfer(Store(respond), ONE_STREAM)
    line.assert_whole()


def test_part_of_the_object_is_not_taken_for_all_of_it(line: Line) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        return replace(answer, status=206, body=CONTENT[:100]).but(
            Content_Length="100", Content_Range=f"bytes 0-99/{len(CONTENT)}"
        )

    with pytest.raises(OleriaRetriesExhaustedError, match="sent other bytes than requested"):
        line.transfer(Store(respond), PARTS)
    line.assert_nothing()


@pytest.mark.parametrize("etag", ['W/"one"', None], ids=["weak", "none"])
def test_without_a_strong_etag_it_comes_in_one_stream_and_starts_over_once(
    line: Line, etag: str | None
) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        answer = answer.but(ETag=etag) if etag else answer.but(without=("ETag",))
        return replace(answer, at_most=300_000) if number == 1 else answer

    store = Store(respond)
    line.transfer(store, PARTS)
    line.assert_whole()
    assert store.ranges == [None, None]


# -- how long it is -----------------------------------------------------------------------------------------------


@either_way
def test_a_body_shorter_than_announced_is_never_published(line: Line, options: SaveOptions) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        if answer.status == 200:
            return replace(answer.but(Content_Length=str(len(CONTENT) + 100)), at_most=len(CONTENT))
        return replace(answer, status=416, body=b"").but(Content_Length="0")

    with pytest.raises(OleriaObjectChangedError):
        line.transfer(Store(respond), options)
    line.assert_nothing()


def chunked(answer: Answer, body: bytes, end: bytes) -> Answer:
    text = b"%x\r\n%s\r\n%s" % (len(body), body, end)
    return replace(answer, body=text).but(without=("Content-Length",), Transfer_Encoding="chunked")


def test_a_length_that_is_not_announced_is_known_by_the_last_chunk(line: Line) -> None:
    line.transfer(Store(lambda number, answer: chunked(answer, CONTENT, b"0\r\n\r\n")), PARTS)

    line.assert_whole()


def test_chunks_that_end_before_the_last_one_are_continued(line: Line) -> None:
    def respond(number: int, answer: Answer) -> Answer:
        return chunked(answer, answer.body[:500_000], b"") if number == 1 else answer

    store = Store(respond)
    line.transfer(store, PARTS)
    line.assert_whole()
    assert store.ranges[0] is None
    assert len(store.ranges) == 2
    assert store.ranges[1] != "bytes=0-"


def test_a_file_whose_end_is_unknown_is_not_published(line: Line) -> None:
    with pytest.raises(OleriaRetriesExhaustedError, match="does not send the file's length"):
        line.transfer(Store(lambda number, answer: answer.but(without=("Content-Length",))), PARTS)
    line.assert_nothing()


# -- breaks -------------------------------------------------------------------------------------------------------


@either_way
def test_a_line_that_is_reset_again_and_again_makes_progress(line: Line, options: SaveOptions) -> None:
    store = Store(lambda number, answer: replace(answer, at_most=40_000))
    line.transfer(store, options)

    line.assert_whole()
    assert len(store.ranges) > 20


def test_bytes_that_come_in_small_pieces_are_progress_too(line: Line) -> None:
    """So many breaks that one budget of retries would not do; no piece is large enough to renew it alone."""
    store = Store(
        lambda number, answer: replace(answer, at_most=4_000, reset=False), content=CONTENT[:120_000]
    )
    line.transfer(store, ONE_STREAM)

    assert line.file.read_bytes() == store.content
    assert len(store.ranges) > 2 * SHORT_PAUSES.max_attempts


def test_a_break_uses_up_an_attempt(line: Line) -> None:
    store = Store(lambda number, answer: replace(answer, at_most=0))
    with pytest.raises(OleriaRetriesExhaustedError):
        line.transfer(store, ONE_STREAM)

    # The first response is given to the stream, which has a budget of its own.
    assert len(store.ranges) == SHORT_PAUSES.max_attempts


def test_a_part_may_have_fewer_bytes_than_there_are_connections(line: Line) -> None:
    store = Store(lambda number, answer: answer, content=CONTENT[: 32 * 1024 + 60])
    line.transfer(store, SaveOptions(max_concurrency=8, part_size=5))

    assert line.file.read_bytes() == store.content
    bounds = re.findall(r"bytes=(\d+)-(\d+)", str(store.ranges))
    assert len(bounds) > 8
    assert all(int(first) <= int(last) for first, last in bounds)


def test_a_url_that_expires_under_all_parts_at_once_is_renewed_once(line: Line) -> None:
    all_there = threading.Barrier(PARTS.max_concurrency, timeout=10)

    def respond(number: int, answer: Answer) -> Answer:
        if 2 < number <= 2 + PARTS.max_concurrency:
            all_there.wait()
            return Answer(403, {"Content-Length": "0"}, b"")
        return answer

    store = Store(respond)
    line.transfer(store, PARTS)
    line.assert_whole()
    assert line.fresh_urls == 2


def test_when_no_fresh_url_is_to_be_had_the_api_is_asked_once_for_all_parts(
    line: Line, tmp_path: Path
) -> None:
    all_there = threading.Barrier(PARTS.max_concurrency, timeout=10)
    asked = []

    def respond(number: int, answer: Answer) -> Answer:
        if number <= 2:
            return answer
        all_there.wait()
        return Answer(403, {"Content-Length": "0"}, b"")

    with Store(respond).serving() as url:

        def fresh_url() -> str:
            asked.append(None)
            if len(asked) > 1:
                raise OleriaRetriesExhaustedError("the API is down")
            return url

        settings = Settings(
            "http://127.0.0.1",
            "https://auth.example",
            "id",
            "secret",
            timeout=5,
            retry=RetryPolicy(initial_backoff=0.01),
        )
        with pytest.raises(OleriaRetriesExhaustedError, match="the API is down"):
            transfer(fresh_url, ObjectStoragePath(line.file.as_uri()), settings, PARTS, SLOW)
    line.assert_nothing()
    assert len(asked) == 2


# -- the URL as it was signed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["/export.csv", "//a//b.csv", "a//b%2Fc%2B.csv", "/night=2026-11-28/%C3%BC~.csv"]
)
def test_the_path_is_sent_as_it_was_signed(line: Line, key: str) -> None:
    """A key that begins with a slash: requests 2.32 and 2.33 would drop it, and the signature would not match."""
    store = Store(rightly)
    with store.serving() as url:
        signed = url.replace("export.csv", f"{key}?X-Amz-Signature=a%2Fb")
        settings = Settings(
            "http://127.0.0.1",
            "https://auth.example",
            "id",
            "secret",
            timeout=5,
            retry=RetryPolicy(initial_backoff=0.01),
        )
        transfer(lambda: signed, ObjectStoragePath(line.file.as_uri()), settings, ONE_STREAM)

    line.assert_whole()
    assert store.urls == [f"/{key}?X-Amz-Signature=a%2Fb"]
