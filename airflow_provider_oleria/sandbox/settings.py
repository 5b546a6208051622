"""The settings of the sandbox, each defined once: ``Sandbox(...)``, the command line and the control use them."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

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
    "thresholds": "dormantDays is sometimes a threshold with a plus, such as 30+, as on Oleria's screens",
}
"""Ways to depart from the published contract, or from what S3 does."""


class _Kind(NamedTuple):
    """Whether a setting takes a value, and how argparse reads it."""

    valid: Callable[[Any], bool]
    option: Mapping[str, Any]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_WHOLE = _Kind(_is_whole, {"type": int})
_COUNT = _Kind(lambda value: _is_whole(value) and value >= 0, {"type": int})
_LIMIT = _Kind(lambda value: value is None or (_is_whole(value) and value > 0), {"type": int})
_SECONDS = _Kind(lambda value: (_is_whole(value) or isinstance(value, float)) and value >= 0, {"type": float})
_FLAG = _Kind(lambda value: isinstance(value, bool), {"action": BooleanOptionalAction})
_ENCODING = _Kind(lambda value: value in (None, *CONTENT_ENCODINGS), {"choices": CONTENT_ENCODINGS})
_DEPARTURES = _Kind(
    lambda value: isinstance(value, list | tuple) and all(way in DEPARTURES for way in value),
    {"nargs": "+", "choices": DEPARTURES, "metavar": "WAY"},
)


def _setting(default: Any, kind: _Kind, text: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": text})


@dataclass
class Settings:
    """What the sandbox does. Each may be changed while it runs; a download keeps those it was created with."""

    rows: int = _setting(1000, _COUNT, "rows of each data context, before filters")
    seed: int = _setting(7, _WHOLE, "other rows for another seed")
    day: int = _setting(0, _COUNT, "age of the tenant in days: each day rows are added, removed and changed")
    export_seconds: float = _setting(0.2, _SECONDS, "time from the creation of a download to its completion")
    token_seconds: float = _setting(3600, _SECONDS, "lifetime of a token")
    url_seconds: float = _setting(300, _SECONDS, "lifetime of a presigned URL")
    rate_limit: int | None = _setting(None, _LIMIT, "API requests per second before 429")
    content_encoding: str | None = _setting(None, _ENCODING, "store the CSV compressed")
    ranges: bool = _setting(True, _FLAG, "whether the store supports Range")
    bytes_per_second: int | None = _setting(None, _LIMIT, "speed limit of each connection to the store")
    departures: Sequence[str] = _setting(
        (), _DEPARTURES, "; ".join(f"{way}: {text}" for way, text in DEPARTURES.items())
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
            if not known[name].metadata["kind"].valid(value):
                raise ValueError(f"setting {name} does not take {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)
