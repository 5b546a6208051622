"""Says how far a long transfer has come."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Final

log = logging.getLogger(__name__)

_EVERY: Final = 10.0
"""Seconds between two lines."""


def reported(chunks: Iterable[bytes], size: int | None) -> Iterator[bytes]:
    """The chunks as they are, with a line in the log at most every 10 s.

    :param chunks: what is transferred.
    :param size: their bytes in all, where that is known.
    """
    started = said = time.monotonic()
    received = 0
    for chunk in chunks:
        yield chunk
        received += len(chunk)
        now = time.monotonic()
        if now - said >= _EVERY:
            said = now
            log.info("%s", _line(received, size, received / (now - started)))


def _line(received: int, size: int | None, rate: float) -> str:
    if not size:
        return f"Received {received / 1e6:,.0f} MB at {rate / 1e6:,.1f} MB/s."
    left = (size - received) / rate
    return (
        f"Received {received / 1e6:,.0f} of {size / 1e6:,.0f} MB ({received / size:.0%}) "
        f"at {rate / 1e6:,.1f} MB/s, {left:,.0f} s left."
    )
