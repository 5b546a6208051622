"""Says how far a long transfer has come, and how long it took."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

log = logging.getLogger(__name__)

_EVERY: Final = 10.0
"""Seconds between two lines."""


def reported(
    chunks: Iterable[bytes], size: int | None, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """The chunks as they are, with a line in the log at most every 10 s, and one at the end.

    :param chunks: what is transferred.
    :param size: their bytes in all, where that is known.
    :param clock: in seconds.
    """
    started = said = clock()
    received = 0
    for chunk in chunks:
        yield chunk
        received += len(chunk)
        now = clock()
        if now - said >= _EVERY:
            said = now
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
