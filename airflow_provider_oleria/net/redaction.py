"""Keeps credentials out of error texts and logs."""

from __future__ import annotations

import logging
import re
from typing import Final

_EXCERPT = 300

# Query strings, which may be a store's signature whatever it calls it, bearer tokens and JWTs, wherever a body or a log
# line repeats them.
_CREDENTIALS: Final = (
    (re.compile(r"\?[^\s\"'<>?]*=[^\s\"'<>]*"), "?***"),
    (re.compile(r"\bBearer\s+[^\s\"',}]+", re.IGNORECASE), "Bearer ***"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?"), "***"),
    (re.compile(r"(?i)(client_secret|access_token)(\W{1,4})[^\s\"'&,}]+"), r"\1\2***"),
)


def redacted(text: str) -> str:
    """``text`` without what looks like a URL's query string, a bearer token, a JWT or a client secret."""
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def excerpt(body: bytes) -> str:
    """The beginning of an unexpected body, fit for an error text."""
    if not body:
        return "an empty body"
    text = redacted(body.decode("utf-8", "replace"))
    return repr(text[:_EXCERPT]) + (" …" if len(text) > _EXCERPT else "")


class _RedactingFilter(logging.Filter):
    """Rewrites a library's lines instead of dropping them: they are what people debug with."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        return True


class _DroppingFilter(logging.Filter):
    """Drops lines that consist of credentials."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


_GUARDS: Final = {
    # Says nothing but request bodies with the secret, headers with the token, and token answers.
    "requests_oauthlib.oauth2_session": _DroppingFilter(),
    # Each of these prints whole URLs, a presigned URL's signature included.
    "urllib3.connection": _RedactingFilter(),
    "urllib3.connectionpool": _RedactingFilter(),
    "urllib3.util.retry": _RedactingFilter(),
}


def guard_library_logs() -> None:
    """Keep credentials out of what the HTTP libraries log, at any level. May be called any number of times."""
    for name, guard in _GUARDS.items():
        logging.getLogger(name).addFilter(guard)
