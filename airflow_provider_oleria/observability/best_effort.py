"""What is done beside an export never fails it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Go on when something beside the export fails, and say so.

    :param what: is done here.
    """
    try:
        yield
    except Exception:
        log.warning("%s failed; the export itself does not suffer from it.", what, exc_info=True)
