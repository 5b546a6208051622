"""The knobs of the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

CONTENT_ENCODINGS = (None, "gzip", "deflate")

DEPARTURES = {
    "audience-required": "no token without an audience",
    "forbids-bad-tokens": "a token that is not valid is answered with 403, not 401",
    "same-url": "a completed export keeps its first presigned URL",
    "forgets": "a completed export is gone (404) once its URL was told",
    "other-signature": "presigned URLs are not S3's: their parameters begin with X-Other-, not X-Amz-",
    "any-signature": "the store takes URLs that were tampered with, or have expired",
    "two-credentials": "the store takes an Authorization header beside the signature",
    "any-etag": "the store ignores If-Match",
}
"""Ways to depart from the published contract, or from what S3 does."""


@dataclass
class Settings:
    """Every knob may be turned while the sandbox runs.

    :param rows: rows of a data context before any filter; read when an export is created.
    :param seed: other rows for another seed; read when an export is created.
    :param day: how many days the tenant has lived on: each day some rows join, some leave, and one in a hundred changes
        its role, its flags and its counts; read when an export is created.
    :param export_seconds: how long an export stays ``accepted``; counted from its creation, read at every poll.
    :param token_seconds: life of a token; read when one is issued.
    :param url_seconds: life of a presigned URL; read when one is issued.
    :param rate_limit: API calls (create and get) the tenant may make per second; ``None`` for any number.
    :param content_encoding: ``gzip`` or ``deflate`` to store the CSV compressed; read when an export is created.
    :param ranges: whether the store honours ``Range``; ``False`` always answers with the whole file.
    :param bytes_per_second: throttle of each connection to the store; ``None`` for none.
    :param departures: in which ways to depart from the contract: any of :data:`DEPARTURES`.
    """

    rows: int = 1000
    seed: int = 7
    day: int = 0
    export_seconds: float = 0.2
    token_seconds: float = 3600
    url_seconds: float = 300
    rate_limit: int | None = None
    content_encoding: str | None = None
    ranges: bool = True
    bytes_per_second: int | None = None
    departures: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._check(asdict(self))

    def update(self, changes: Mapping[str, Any]) -> None:
        """Turn several knobs at once, or none when one of them is wrong.

        :param changes: knobs by name.
        :raises ValueError: naming the knob that does not exist, or the value it does not take.
        """
        self._check(changes)
        for name, value in changes.items():
            setattr(self, name, value)

    @staticmethod
    def _check(changes: Mapping[str, Any]) -> None:
        for name, value in changes.items():
            match name:
                case "rows" | "day":
                    right = _is_number(value, int) and value >= 0
                case "seed":
                    right = _is_number(value, int)
                case "export_seconds" | "token_seconds" | "url_seconds":
                    right = _is_number(value, int, float) and value >= 0
                case "rate_limit" | "bytes_per_second":
                    right = value is None or (_is_number(value, int) and value > 0)
                case "content_encoding":
                    right = value in CONTENT_ENCODINGS
                case "departures":
                    right = isinstance(value, list | tuple) and all(way in DEPARTURES for way in value)
                case "ranges":
                    right = isinstance(value, bool)
                case _:
                    known = ", ".join(field.name for field in fields(Settings))
                    raise ValueError(f"there is no setting {name!r}; there are {known}")
            if not right:
                raise ValueError(f"setting {name} does not take {value!r}")


def _is_number(value: Any, *types: type) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)
