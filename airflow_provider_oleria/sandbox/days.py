"""What a day changes in the tenant: accounts come, accounts go, and what some may do is another thing than before."""

from __future__ import annotations

from typing import Final

_ONE_JOINS_OF: Final = 150
_ONE_LEAVES_OF: Final = 250
_DAYS_BETWEEN_CHANGES: Final = 97

CHANGING: Final = frozenset(
    {
        *("applicationRole", "isAdmin", "isPrivileged", "mfaEnabled", "applicationCount", "groupCount"),
        *("roleCount", "memberCount", "accountCount", "adminCount", "permissionCount"),
    }
)
"""The columns whose values change as days pass; who somebody is does not."""


def present(rows: int, day: int) -> range:
    """The numbers of the rows there are on a day: each day the oldest leave and new ones join.

    :param rows: how many there are on day 0.
    :param day: how many days have passed.
    """
    leavers, joiners = (-(-rows // of) for of in (_ONE_LEAVES_OF, _ONE_JOINS_OF))
    return range(day * leavers, rows + day * joiners)


def changes(row: int, day: int) -> int:
    """How often a row has changed until a day: once in 97 days, each on a day of its own.

    :param row: its number.
    :param day: how many days have passed.
    """
    return (day + row * 37 % _DAYS_BETWEEN_CHANGES) // _DAYS_BETWEEN_CHANGES
