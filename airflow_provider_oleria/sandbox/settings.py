"""The settings of the sandbox, each defined once: ``Sandbox(...)``, the command line and the control use them."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

CONTENT_ENCODINGS = ("gzip", "deflate")

DEPARTURES = {
    "audience-required": "no token without an audience",
    "forbids-bad-tokens": "an invalid token is refused with 403, not 401",
    "same-url": "a completed download keeps its first presigned URL",
    "forgets": "a completed download is gone (404) after its URL was sent once",
    "other-signature": "the parameters of presigned URLs begin with X-Other-, not X-Amz-",
    "any-signature": "the store accepts URLs that were changed or have expired",
    "two-credentials": "the store accepts an Authorization header beside the signature",
    "any-etag": "the store ignores If-Match",
}
"""Ways to depart from the published contract, or from what S3 does."""


def _is_count(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_limit(value: Any) -> bool:
    return value is None or _is_count(value, 1)


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _setting(default: Any, text: str, valid: Callable[[Any], bool], **option: Any) -> Any:
    """Define a setting.

    :param default: its default.
    :param text: its meaning, for the command line.
    :param valid: whether it takes a value.
    :param option: how argparse reads it.
    """
    return field(default=default, metadata={"help": text, "valid": valid, "option": option})


@dataclass
class Settings:
    """What the sandbox does. Each may be changed while it runs; a download keeps those it was created with."""

    rows: int = _setting(1000, "rows of each data context, before filters", _is_count, type=int)
    seed: int = _setting(7, "other rows for another seed", lambda value: _is_count(value, value), type=int)
    day: int = _setting(
        0, "age of the tenant in days: each day some rows are added, removed and changed", _is_count, type=int
    )
    export_seconds: float = _setting(
        0.2, "time from the creation of a download to its completion", _is_duration, type=float
    )
    token_seconds: float = _setting(3600, "lifetime of a token", _is_duration, type=float)
    url_seconds: float = _setting(300, "lifetime of a presigned URL", _is_duration, type=float)
    rate_limit: int | None = _setting(None, "API requests per second before 429", _is_limit, type=int)
    content_encoding: str | None = _setting(
        None,
        "store the CSV compressed",
        lambda value: value in (None, *CONTENT_ENCODINGS),
        choices=CONTENT_ENCODINGS,
    )
    ranges: bool = _setting(
        True,
        "whether the store supports Range",
        lambda value: isinstance(value, bool),
        action=BooleanOptionalAction,
    )
    bytes_per_second: int | None = _setting(
        None, "speed limit of each connection to the store", _is_limit, type=int
    )
    departures: Sequence[str] = _setting(
        (),
        "ways to depart from the contract: "
        + "; ".join(f"{way}: {text}" for way, text in DEPARTURES.items()),
        lambda value: isinstance(value, list | tuple) and all(way in DEPARTURES for way in value),
        nargs="+",
        choices=DEPARTURES,
        metavar="WAY",
    )

    def __post_init__(self) -> None:
        self.update(asdict(self))

    def update(self, changes: Mapping[str, Any]) -> None:
        """Change several settings at once, or none if one of them is wrong.

        :param changes: values by name.
        :raises ValueError: naming the setting that does not exist, or the value it does not take.
        """
        known = {setting.name: setting for setting in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no setting {name!r}; there are {', '.join(known)}")
            if not known[name].metadata["valid"](value):
                raise ValueError(f"setting {name} does not take {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)
