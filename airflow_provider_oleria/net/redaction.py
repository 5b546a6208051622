"""Keeps credentials out of error texts, logs and the variables of tracebacks."""

from __future__ import annotations

import inspect
import logging
import re
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MAX_EXCERPT_BYTES: Final = 4096
"""Bytes of a response body that are decoded and searched for an error message."""

MAX_EXCERPT_CHARS: Final = 300
"""Characters of a response body that an error message quotes."""

# Each pattern takes time linear in the text: no match can start inside the run of characters an earlier try has read.
_CREDENTIALS: Final = (
    # A query string may be a store's signature, whatever the store calls it.
    (re.compile(r"\?[^\s\"'<>?]*=[^\s\"'<>]*"), "?***"),
    (re.compile(r"\bBearer\s+[^\s\"',}]+", re.IGNORECASE), "Bearer ***"),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+(\.[\w-]*)?"), "***"),  # a JWT
    (re.compile(r"(client_secret|access_token)(\W{1,4})[^\s\"'&,}]+", re.IGNORECASE), r"\1\2***"),
)


def redacted(text: str) -> str:
    """Replace what looks like a URL's query string, a bearer token, a JWT or a client secret.

    :param text: any text.
    :return: the text with ``***`` in these places.
    """
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def excerpt(body: bytes) -> str:
    """Quote the beginning of an unexpected response body in an error message.

    :param body: the body.
    :return: its first characters, redacted.
    """
    if not body:
        return "an empty body"
    text = redacted(body[:MAX_EXCERPT_BYTES].decode("utf-8", "replace"))
    is_cut = len(body) > MAX_EXCERPT_BYTES or len(text) > MAX_EXCERPT_CHARS
    return repr(text[:MAX_EXCERPT_CHARS]) + (" …" if is_cut else "")


def clear_frames(call: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function or coroutine function whose variables, or those of libraries it calls, hold credentials.

    Error trackers and some consoles show the variables of each frame of a traceback. Whatever exception leaves ``call``
    (also one raised by a signal) keeps file, line and function of its frames, and loses their variables. Exceptions
    chained to it lose their tracebacks, and are dropped if their text shows a credential.
    """
    if inspect.iscoroutinefunction(call):

        @wraps(call)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
            handled_by_caller = sys.exception()
            try:
                return await call(*args, **kwargs)
            except BaseException as problem:
                del args, kwargs  # this frame stays
                _clear(problem, handled_by_caller)
                raise

        return call_async  # type: ignore[return-value]  # T is a coroutine here

    @wraps(call)
    def call_sync(*args: P.args, **kwargs: P.kwargs) -> T:
        handled_by_caller = sys.exception()
        try:
            return call(*args, **kwargs)
        except BaseException as problem:
            del args, kwargs  # this frame stays
            _clear(problem, handled_by_caller)
            raise

    return call_sync


def _clear(problem: BaseException, handled_by_caller: BaseException | None) -> None:
    traceback.clear_frames(problem.__traceback__)
    # The caller's own exception may be the context of this one; it stays as it is.
    pending, kept = [problem], {id(problem), id(handled_by_caller), id(None)}
    while pending:
        error = pending.pop()
        for link in ("__cause__", "__context__"):
            chained = getattr(error, link)
            if id(chained) in kept:
                continue
            text = "".join(traceback.format_exception_only(chained))
            if redacted(text) != text:
                setattr(error, link, None)
                continue
            # Not cleared: its frames may belong to a suspended coroutine, which clearing would close.
            chained.__traceback__ = None
            kept.add(id(chained))
            pending.append(chained)


class _RedactingFilter(logging.Filter):
    """Redacts the lines of a library's logger, which are useful for debugging."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        return True


class _DroppingFilter(logging.Filter):
    """Drops the lines of a logger that logs nothing but credentials."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


_FILTERS: Final = {
    # Logs request bodies with the client secret, headers with the token, and token responses.
    "requests_oauthlib.oauth2_session": _DroppingFilter(),
    # These log whole URLs; the query of a presigned URL is its signature.
    "urllib3.connection": _RedactingFilter(),
    "urllib3.connectionpool": _RedactingFilter(),
    "urllib3.util.retry": _RedactingFilter(),
}


def guard_library_logs() -> None:
    """Keep credentials out of the logs of the HTTP libraries, at any level. May be called repeatedly."""
    for name, log_filter in _FILTERS.items():
        logging.getLogger(name).addFilter(log_filter)
