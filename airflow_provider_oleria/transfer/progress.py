"""Logs the progress of a long transfer, and its duration."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

log = logging.getLogger(__name__)

_LOG_INTERVAL: Final = 10.0
"""Seconds."""


def reported(
    chunks: Iterable[bytes], size: int | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """Log how many chunks have passed, at most every 10 s, and once at the end.

    :param chunks: what is transferred.
    :param size: their total in bytes, if known.
    :param clock: in seconds.
    :return: the same chunks.
    """
    started = logged = clock()
    received = 0
    for chunk in chunks:
        yield chunk
        received += len(chunk)
        now = clock()
        if now - logged >= _LOG_INTERVAL:
            logged = now
            log.info("%s", _line(received, size, received / (now - started)))
    took = clock() - started
    log.info(
        "Received %s MB in %.1f s (%.1f MB/s).",
        f"{received / 1e6:,.1f}",
        took,
        received / 1e6 / max(took, 1e-3),
    )


def _line(received: int, size: int | None, rate: float) -> str:
    if not size:
        return f"Received {received / 1e6:,.0f} MB at {rate / 1e6:,.1f} MB/s."
    left = (size - received) / rate
    return (
        f"Received {received / 1e6:,.0f} of {size / 1e6:,.0f} MB ({received / size:.0%}) "
        f"at {rate / 1e6:,.1f} MB/s, {left:,.0f} s left."
    )
