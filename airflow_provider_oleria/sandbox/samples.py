"""Draws the names, addresses and departments of the sample data. Every one is invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

_UNUSUAL_INTERVAL = 50
_MACHINE_SHARE = 0.15
_NO_DEPARTMENT_SHARE = 0.03

Words = Mapping[str, Sequence[str]]
"""The table ``words`` of catalogue.toml."""


class Subject(NamedTuple):
    """The person or machine of a row, so that name, address and department go together."""

    name: str
    local_part: str
    type: str
    department: str | None
    title: str | None


def subject(words: Words, random: Random, number: int) -> Subject:
    """Draw a person or a machine; one in 50 has an unusual name."""
    department = random.choice(words["departments"])
    if random.random() < _MACHINE_SHARE:
        name = f"svc-{random.choice(words['teams'])}-{random.choice(words['uses'])}"
        return Subject(_unusual(words, number) or name, name, "Machine", department, None)
    first, last = random.choice(words["first_names"]), random.choice(words["last_names"])
    local_part = f"{first}.{last}".lower().replace("í", "i")
    has_none = random.random() < _NO_DEPARTMENT_SHARE
    title = random.choice(words["titles"])
    name = _unusual(words, number) or f"{first} {last}"
    return Subject(name, local_part, "User", None if has_none else department, title)


def label(words: Words, random: Random, number: int) -> str:
    """Draw the name of a group, role or resource; one in 50 is unusual."""
    if unusual := _unusual(words, number):
        return unusual
    return f"{random.choice(words['teams'])}-{random.choice(words['uses'])}-{random.randrange(100):02}"


def ip_address(random: Random) -> str:
    """Draw an address of the ranges reserved for documentation (RFC 5737)."""
    return f"{random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{random.randrange(1, 255)}"


def _unusual(words: Words, number: int) -> str | None:
    times, rest = divmod(number, _UNUSUAL_INTERVAL)
    return words["unusual"][times % len(words["unusual"])] if rest == 0 else None
