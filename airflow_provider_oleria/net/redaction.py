"""Keeps credentials out of error texts, logs and the variables of tracebacks."""

from __future__ import annotations

import base64
import html
import inspect
import logging
import re
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Final, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote_plus, unquote

P = ParamSpec("P")
T = TypeVar("T")

MAX_SEARCHED: Final = 4096
"""Characters of a text, or bytes of a body, that are searched. Nothing behind them is quoted."""

MAX_QUOTED: Final = 800
"""Characters of vendor text in one quote."""

_MAX_EXCERPT: Final = 300
"""Characters of a response body that an error message quotes."""

_MAX_LINE: Final = 1000
"""Characters of one line of a library's log."""

MIN_SECRET_LENGTH: Final = 5
"""Characters of the shortest secret that is removed by its value, as in Airflow's masking. A shorter one is in too many
words."""

_MIN_URL_VALUE: Final = 20
"""Characters of the shortest value in a URL's query that is removed wherever it is: signatures and keys are longer."""

# What each pattern captures is removed. It takes linear time: no match can start inside the run of characters that an
# earlier try has read.
_PATTERNS: Final = (
    # A query string may be a store's signature, whatever the store calls it.
    re.compile(r"\?([^\s\"'<>?]*=[^\s\"'<>]*)"),
    re.compile(r"\bBearer\s+([^\s\"',}]+)", re.IGNORECASE),
    re.compile(r"(?<![\w-])(eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)"),  # a JWT
    re.compile(r"(?:client_?secret|access_?token)\W{0,8}[:=]\W{0,8}([^\s\"'&,}]+)", re.IGNORECASE),
)

_ESCAPES: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"%[0-7][\da-f]|(?:%[89a-f][\da-f])+",
        r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z]{2,8});",
        r"\\x[0-7][\da-f]|(?:\\x[89a-f][\da-f])+|\\u[\da-f]{4}|\\[^ux]",
    )
)
"""An escape of percent-encoding, of HTML, of JSON or Python's ``repr``."""

_MAX_ENCODINGS: Final = 3
"""Encodings, one inside the other, that are searched."""


class _Secrets:
    """Secrets that this process has used, the latest ones."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._values: OrderedDict[str, None] = OrderedDict()

    def add(self, values: Iterable[str]) -> None:
        for value in values:
            if len(value) >= MIN_SECRET_LENGTH:
                self._values[value] = None
                self._values.move_to_end(value)
        while len(self._values) > self._at_most:
            self._values.popitem(last=False)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._values))  # a copy: other threads add


_CREDENTIALS: Final = _Secrets(200)
"""Client secrets, access tokens and passwords of proxies."""

_URLS: Final = _Secrets(100)
"""Presigned URLs and their parts, of which a triggerer receives many: they do not push out the others."""


def remember_token(token: str) -> None:
    """Remove an access token from all texts from now on."""
    _CREDENTIALS.add([token])


def remember_login(name: str, secret: str) -> None:
    """Remove a secret from all texts from now on, and the value of HTTP Basic made of it.

    :param name: client id, or user name.
    :param secret: client secret, or password.
    """
    pairs = {f"{name}:{secret}", f"{quote_plus(name)}:{quote_plus(secret)}"}  # RFC 6749 has the second
    basic = [base64.b64encode(pair.encode("utf-8", "surrogatepass")).decode().rstrip("=") for pair in pairs]
    _CREDENTIALS.add([secret, secret.replace(" ", "+"), *(basic if secret else [])])


def remember_url(url: str) -> None:
    """Remove a presigned URL from all texts from now on: the whole, its query, and each long value in that."""
    query = url.partition("?")[2]
    values = [field.partition("=")[2] for field in query.split("&")]
    _URLS.add([url, query, *(unquote(value) for value in values if len(value) >= _MIN_URL_VALUE)])


def has_credential(text: str) -> bool:
    """Whether a text shows a credential, or is too long to be searched."""
    return len(text) > MAX_SEARCHED or bool(_credentials_in(text))


def quoted(text: str, at_most: int = MAX_QUOTED) -> str:
    """Make text of the other side fit for a message: no credentials, no control characters, not too long.

    Every text that a vendor, a store or a library has written goes through here.

    :param text: any text.
    :param at_most: longest result, in characters.
    :return: the text with ``***`` in place of credentials, and escapes in place of characters that cannot be printed.
    """
    searched = text[:MAX_SEARCHED]
    pieces, at = [], 0
    # Cut after the search: half a secret at the end would not be recognised.
    for start, end in sorted(_credentials_in(searched)):
        if start >= at_most:
            break
        if start >= at:
            pieces += [searched[at:start], "***"]
        at = max(at, end)
    pieces.append(searched[at:at_most])
    result = printable("".join(pieces))
    return result if len(result) <= at_most and len(text) <= at_most else f"{result[: at_most - 1]}…"


def printable(text: str) -> str:
    """Escape control characters, line ends and marks of direction, which a terminal or a log would obey."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def excerpt(body: bytes) -> str:
    """Quote the beginning of an unexpected response body in an error message.

    :param body: the body.
    :return: its first characters, as :func:`quoted`.
    """
    if not body:
        return "an empty body"
    # UTF-16, too, is searched: as letters with NULs between them.
    return f"'{quoted(body[:MAX_SEARCHED].replace(bytes(1), b'').decode('utf-8', 'replace'), _MAX_EXCERPT)}'"


def _credentials_in(text: str) -> list[tuple[int, int]]:
    """Where credentials begin and end in a text."""
    found: list[tuple[int, int]] = []
    readings = {text: _Reading(text, range(len(text)), range(1, len(text) + 1))}
    for _ in range(_MAX_ENCODINGS + 1):
        for reading in readings.values():
            found += [
                (reading.starts[first], reading.ends[last - 1]) for first, last in _matches(reading.text)
            ]
        decoded = (
            _decoded(reading, escape)
            for reading in readings.values()
            for escape in _ESCAPES
            if escape.search(reading.text)
        )
        readings = {reading.text: reading for reading in decoded}  # the order of decoding rarely matters
    return found


def _matches(text: str) -> Iterator[tuple[int, int]]:
    for secret in (*_CREDENTIALS, *_URLS):
        at = text.find(secret)
        while at >= 0:
            yield at, at + len(secret)
            at = text.find(secret, at + len(secret))
    for pattern in _PATTERNS:
        yield from (match.span(1) for match in pattern.finditer(text))


class _Reading(NamedTuple):
    """A decoded text, and where each of its characters begins and ends in the original one."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def _decoded(reading: _Reading, escape: re.Pattern[str]) -> _Reading:
    text, starts, ends = reading
    letters: list[str] = []
    new_starts: list[int] = []
    new_ends: list[int] = []
    at = 0
    for match in escape.finditer(text):
        first, last = match.span()
        decoded = _unescape(match[0])
        letters += [text[at:first], decoded]
        new_starts += [*starts[at:first], *[starts[first]] * len(decoded)]
        new_ends += [*ends[at:first], *[ends[last - 1]] * len(decoded)]
        at = last
    return _Reading("".join([*letters, text[at:]]), [*new_starts, *starts[at:]], [*new_ends, *ends[at:]])


def _unescape(escape: str) -> str:
    if escape[0] == "%":
        return unquote(escape)
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[1] in "xX":
        octets = bytes.fromhex(escape.lower().replace("\\x", ""))
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("latin-1")
    return chr(int(escape[2:], 16)) if len(escape) > 2 else escape[1]


def clear_frames(call: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function or coroutine function whose variables, or those of libraries it calls, hold credentials.

    Error trackers and some consoles show the variables of each frame of a traceback. Whatever exception leaves ``call``
    (also one raised by a signal) keeps file, line and function of its frames, and loses their variables. Exceptions
    chained to it lose their tracebacks, and are dropped if their text shows a credential; its own text loses it.
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
    if _credentials_in(str(problem)[:MAX_SEARCHED]):
        problem.args = (quoted(str(problem)),)
    # The caller's own exception may be the context of this one; it stays as it is.
    pending, kept = [problem], {id(problem), id(handled_by_caller), id(None)}
    while pending:
        error = pending.pop()
        for link in ("__cause__", "__context__"):
            chained = getattr(error, link)
            if id(chained) in kept:
                continue
            text = "".join(traceback.format_exception_only(chained))
            if has_credential(text):
                setattr(error, link, None)
                continue
            # Not cleared: its frames may belong to a suspended coroutine, which clearing would close.
            chained.__traceback__ = None
            kept.add(id(chained))
            pending.append(chained)


class _RedactingFilter(logging.Filter):
    """Redacts the lines of a library's logger, which are useful for debugging."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = quoted(record.getMessage(), _MAX_LINE), None
        record.exc_info = record.exc_text = None
        return True


class _CookieFilter(_RedactingFilter):
    """Drops also the lines that quote a cookie: a credential cut at a ``=`` would not be recognised."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "cookie" not in record.getMessage() and super().filter(record)


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
    # These name cookies and proxies.
    "aiohttp.client": _CookieFilter(),
    "aiohttp.internal": _CookieFilter(),
}


def guard_library_logs() -> None:
    """Keep credentials out of the logs of the HTTP libraries, at any level. May be called repeatedly."""
    for name, log_filter in _FILTERS.items():
        logging.getLogger(name).addFilter(log_filter)
