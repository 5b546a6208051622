"""Error texts and library logs without credentials."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_oleria.net.redaction import clear_frames, excerpt, guard_library_logs, redacted


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"url": "https://s3.example/x?X-Amz-Signature=f00d&X-Amz-Date=1"}', "f00d"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ('{"token": "eyJhbGciOi.eyJzdWIiOi.c2ln"}', "eyJzdWIiOi"),
        ("grant_type=client_credentials&client_secret=s3cr%2Bt&scope=x", "s3cr%2Bt"),
        ('{"access_token": "opaque-token"}', "opaque-token"),
        ("GET /s3/x.csv?x-amz-algorithm=AWS4&X-Amz-Signature=f00d HTTP/1.1", "f00d"),
        ("GET /x.csv?Expires=1&Signature=f00d&Key-Pair-Id=K1 HTTP/1.1", "f00d"),
        ("https://storage.example/x.csv?X-Goog-Signature=f00d", "f00d"),
    ],
)
def test_credentials_are_taken_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redacted(text)


def test_an_excerpt_is_short_and_readable() -> None:
    assert excerpt(b"<html>\xff</html>") == repr("<html>\ufffd</html>")
    assert excerpt(b"") == "an empty body"
    assert len(excerpt(b"x" * 10_000)) < 400


def test_library_logs_keep_their_lines_but_not_the_signature(caplog: pytest.LogCaptureFixture) -> None:
    guard_library_logs()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3.connectionpool").debug(
            '%s "GET %s"', "http://s3", "/x.csv?X-Amz-Signature=f00d"
        )
        logging.getLogger("requests_oauthlib.oauth2_session").debug(
            "Obtained token %s.", {"access_token": "abc"}
        )

    assert [record.getMessage() for record in caplog.records] == ['http://s3 "GET /x.csv?***"']


SECRET = "s3cr3t-value"


def variables(problem: BaseException) -> str:
    trace, shown = problem.__traceback__, ""
    while trace is not None:
        shown += f"{trace.tb_frame.f_code.co_name} {trace.tb_frame.f_locals!r} "
        trace = trace.tb_next
    return shown


def raised(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # any
        call()
    return caught.value


@pytest.mark.parametrize(
    "kind", [OSError, UnicodeError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, AssertionError]
)
def test_no_exception_keeps_variables(kind: type[BaseException]) -> None:
    def send(headers: dict[str, str]) -> None:
        closure = headers["Authorization"]
        (lambda: closure)()
        raise kind

    @clear_frames
    def call(secret: str) -> None:
        send({"Authorization": secret})

    @clear_frames
    async def acall(secret: str) -> None:
        await asyncio.sleep(0)
        send({"Authorization": secret})

    async def in_loop() -> str:
        try:
            await acall(SECRET)
        except BaseException as problem:
            return variables(problem)
        return ""

    for shown in (variables(raised(lambda: call(SECRET))), asyncio.run(in_loop())):
        assert "send {}" in shown
        assert SECRET not in shown


def test_chained_errors_keep_text_without_credentials_only() -> None:
    @clear_frames
    def call(secret: str) -> None:
        try:
            try:
                raise OSError("disk full")
            except OSError as problem:
                raise ValueError(f"https://s3.example/x?X-Amz-Signature={secret}") from problem
        except ValueError as problem:
            raise RuntimeError("not written") from problem

    @clear_frames
    def other(secret: str) -> None:
        try:
            raise OSError("disk full")
        except OSError as problem:
            raise RuntimeError("not written") from problem

    problem = raised(lambda: call(SECRET))
    assert problem.__cause__ is None
    assert problem.__context__ is None
    problem = raised(lambda: other(SECRET))
    assert repr(problem.__cause__) == "OSError('disk full')"
    assert problem.__cause__ is not None
    assert problem.__cause__.__traceback__ is None


def test_the_exception_its_caller_handles_is_left_alone() -> None:
    @clear_frames
    def call() -> None:
        raise RuntimeError

    def outer() -> None:
        try:
            raise OSError("the caller's own")
        except OSError:
            call()

    problem = raised(outer)
    assert isinstance(problem.__context__, OSError)
    assert problem.__context__.__traceback__ is not None


@pytest.mark.parametrize("start", ["eyJ", "eyJ-", "Bearer ", "?", "?a=", "client_secret", "access_token: "])
def test_redaction_takes_linear_time(start: str) -> None:
    """With a quadratic pattern a megabyte takes minutes, and the test is stopped."""
    redacted(start * (1_000_000 // len(start)))
