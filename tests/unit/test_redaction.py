"""Error texts and library logs without credentials."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_oleria.net.redaction import excerpt, guard_library_logs, redacted


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
