"""Work that must not fail the task."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Log an error as a warning, and continue.

    :param what: the work, to begin the log line with.
    """
    try:
        yield
    except Exception:
        log.warning("%s failed. The download is not affected.", what, exc_info=True)
