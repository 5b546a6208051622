"""Names of unfinished files, ``.<name>.<8 hex digits>.part``: hidden, and not matched by ``*.csv``."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from typing import Final

PROBE: Final = bytes(64 * 1024)
"""Written to find out whether there is space at all."""

_NAME_MAX: Final = 255
"""Bytes of a file name on most filesystems."""

_ADDED: Final = len("..01234567.part")


def part_name(name: str) -> str:
    """A new name for an unfinished file of ``name``."""
    return f".{_stem(name)}.{secrets.token_hex(4)}.part"


def is_part_of(candidate: str, name: str) -> bool:
    """Whether ``candidate`` is the name of an unfinished file of ``name``."""
    return re.fullmatch(rf"\.{re.escape(_stem(name))}\.[0-9a-f]{{8}}\.part", candidate) is not None


def _stem(name: str) -> str:
    encoded = os.fsencode(name)
    return name if len(encoded) + _ADDED <= _NAME_MAX else hashlib.sha256(encoded).hexdigest()
