"""The log lines of a long transfer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_oleria.transfer.progress import reported

MB = bytes(1_000_000)


def said(caplog: pytest.LogCaptureFixture, seconds: list[float], size: int | None) -> list[str]:
    """The lines of a transfer of one megabyte after each pause."""
    now = 0.0

    def chunks() -> Iterator[bytes]:
        nonlocal now
        for pause in seconds:
            now += pause
            yield MB

    with caplog.at_level("INFO", "airflow_provider_oleria"):
        assert list(reported(chunks(), size, lambda: now)) == [MB] * len(seconds)
    return [record.getMessage() for record in caplog.records]


def test_bytes_share_rate_and_time_left_are_logged_every_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert said(caplog, [4.0] * 6, 8_000_000) == [
        "Received 3 of 8 MB (38%) at 0.2 MB/s, 20 s left.",
        "Received 6 of 8 MB (75%) at 0.2 MB/s, 8 s left.",
        "Received 6.0 MB in 24.0 s (0.2 MB/s).",
    ]


def test_without_a_known_size_there_is_no_share(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, [11.0], None)[0] == "Received 1 MB at 0.1 MB/s."


def test_a_short_transfer_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, [0.5, 0.5], 2_000_000) == ["Received 2.0 MB in 1.0 s (2.0 MB/s)."]


def test_an_empty_file_that_took_no_time(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, [], 0) == ["Received 0.0 MB in 0.0 s (0.0 MB/s)."]
