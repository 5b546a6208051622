"""Foreign input outside of every contract, and what may come of it."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from airflow_provider_oleria.exceptions import OleriaError
from airflow_provider_oleria.net import redaction
from tests.hook.test_planted_secrets import (
    CREDENTIALS,
    PROXY_PASSWORD,
    SECRET,
    SPELLINGS,
    TOKEN,
    URL,
    assert_nothing_shown,
)

NOISE = st.text("a1\"'\\&%#;<>{}[],:?= \r\n\0\x1b\u202e\ud800é€", max_size=20) | st.text(max_size=20)
NUMBERS = st.integers() | st.floats() | st.sampled_from([True, 0, -1, 2**63, 10**400, 1e308])
# Encoded once: inside JSON, inside a repr, that makes three times, which is what redaction searches.
PLANTED = st.builds(
    lambda spell, text: spell(text), st.sampled_from([*SPELLINGS.values()]), st.sampled_from(CREDENTIALS)
)
TEXTS = NOISE | st.builds("{} {} {}".format, NOISE, PLANTED, NOISE)

Values = st.SearchStrategy[Any]


def words(text: str) -> list[str]:
    return text.split()


def nested(leaves: Values, texts: Values) -> Values:
    """Such values, in lists and dicts."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=6,
    )


JSON_VALUES = nested(st.none() | NUMBERS | TEXTS, TEXTS)
"""As another side sends them."""

ARGUMENTS = nested(
    st.none() | NUMBERS | NOISE | st.binary(max_size=8) | st.datetimes() | st.timedeltas() | st.just({"a"}),
    NOISE,
)
"""As a user of the package passes them."""


def shape(other: Values = JSON_VALUES | TEXTS, **fields: list[Any]) -> Values:
    """A dict whose fields are as they should be, missing, or anything else."""
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(valid) | other for name, valid in fields.items()}
    )


DOWNLOADS = shape(
    id=["id-1"],
    status=words("accepted completed failed"),
    url=[URL, "https://store.example/x"],
    error=[{"code": "E1", "message": "no"}],
    code=["E1"],
    message=["no"],
)
TOKENS = shape(access_token=[TOKEN], expires_in=[3600, "60"], scope=["a b"], error=["invalid_client"])

STATUSES = st.integers(200, 999) | st.sampled_from(
    [*map(int, words("200 201 202 204 206 301 307 400 401 403 404 408 412 416 429 500 503"))]
)

_HEADERS = words(
    "Retry-After Content-Length Content-Type Content-Encoding Transfer-Encoding Location Set-Cookie ETag "
    "Content-Range Accept-Ranges x-amzn-ErrorType Connection"
)
_HEADER_VALUES = [
    *words('0 1 -1 chunked gzip deflate br bytes "etag" close / application/json'),
    *("9" * 5000, "bytes 0-1/2", "bytes 0-9/*", "Fri, 31 Dec 9999 23:59:59 -2300", URL),
]
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(_HEADERS),
        st.sampled_from(_HEADER_VALUES) | TEXTS.map(lambda text: re.sub(r"\s+", " ", text)),
    ),
    max_size=4,
)


def bodies(values: Values) -> st.SearchStrategy[bytes]:
    """JSON of such values, or another, alone or in a page; nested; long; or any bytes."""
    documents = st.builds(json.dumps, values | values | JSON_VALUES, indent=st.sampled_from([None, 2]))
    pages = st.builds("<p>{}</p>{}".format, TEXTS, documents)
    deep = st.builds(
        lambda level, text: "[" * level + text + "]" * level, st.sampled_from([1, 100, 5000, 100_000]), TEXTS
    )
    long = TEXTS.map(lambda text: text * 3000)
    texts = documents | documents | documents | documents | pages | deep | long
    return texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=100)


@contextmanager
def planted() -> Iterator[list[str]]:
    """The process has used the planted credentials: no line of the log, or added to the list, shows one."""
    redaction._CREDENTIALS._values.clear()
    redaction._URLS._values.clear()
    redaction.remember_login("client", SECRET)
    redaction.remember_login("user", PROXY_PASSWORD)
    redaction.remember_token(TOKEN)
    redaction.remember_url(URL)
    lines: list[str] = []
    handler, root = logging.Handler(), logging.getLogger()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]  # this one alone
    level, handlers, root.handlers = root.level, root.handlers, [handler]
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.handlers = handlers
    assert_nothing_shown("\n".join(lines))


@contextmanager
def only_ours(kind: type[OleriaError] = OleriaError, match: str = "") -> Iterator[None]:
    """Only this kind of error, with a text that matches, leaves the block; no text shows what was planted."""
    with planted() as lines:
        try:
            yield
        except kind as problem:
            if not re.search(match, str(problem)):
                raise
            lines += ["".join(traceback.format_exception(problem)), repr(problem)]
