"""Error texts and library logs without credentials."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_oleria.net.redaction import (
    MAX_QUOTED,
    MIN_SECRET_LENGTH,
    _credentials_in,
    clear_frames,
    excerpt,
    guard_library_logs,
    quoted,
    remember_login,
    remember_token,
    remember_url,
)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"url": "https://s3.example/x?X-Amz-Signature=f00d&X-Amz-Date=1"}', "f00d"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ('{"token": "eyJhbGciOi.eyJzdWIiOi.c2ln"}', "eyJzdWIiOi"),
        ("grant_type=client_credentials&client_secret=s3cr%2Bt&scope=x", "s3cr%2Bt"),
        ('{"access_token": "opaque-token"}', "opaque-token"),
        ("GET /s3/x.csv?x-amz-algorithm=AWS4&X-Amz-Signature=f00d HTTP/1.1", "f00d"),
        ("GET /x.csv?Expires=1&Signature=f00d&Key-Pair-Id=K1 HTTP/1.1", "f00d"),
        ("https://storage.example/x.csv?X-Goog-Signature=f00d", "f00d"),
    ],
)
def test_credentials_are_taken_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in quoted(text)


CREDENTIAL = "p\u00e4ss+/=&%~'\"<\\>w rd-\u20acnd"
"""With each character that an encoding changes."""

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "form": quote_plus,
    "percent": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: re.sub("%..", lambda code: code[0].lower(), quote(text, safe="")),
    "path": quote,
    "json": json.dumps,
    "json, unicode": lambda text: json.dumps(text, ensure_ascii=False),
    "json, escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "json for html": lambda text: json.dumps(text).replace("<", "\\u003c").replace("&", "\\u0026"),
    "html": html.escape,
    "html, numbers": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "percent in html": lambda text: html.escape(quote(text)),
    "html in json": lambda text: json.dumps(html.escape(text)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "around", ["the key {} is not known", "<p>{}</p>", '["{}"]', "x{}y{}", "{}"], ids=str
)
def test_a_known_secret_is_removed_in_any_spelling(spelling: str, around: str) -> None:
    remember_login("id", CREDENTIAL)
    shown = SPELLINGS[spelling](CREDENTIAL)

    text = quoted(around.replace("{}", shown))

    assert "rd-" not in text
    assert "***" in text
    assert text.startswith(around.partition("{}")[0])


@pytest.mark.parametrize("name", ["id", "id of+the/client"])
@pytest.mark.parametrize("secret", ["s3cret-of-basic", "s3cret of+basic/"])
def test_the_value_of_http_basic_is_removed(name: str, secret: str) -> None:
    remember_login(name, secret)
    for pair in (f"{name}:{secret}", f"{quote_plus(name)}:{quote_plus(secret)}"):
        value = base64.b64encode(pair.encode()).decode()

        assert value[:-2] not in quoted(f"Authorization: Basic {value}")
        assert quote_plus(value[:-2]) not in quoted(f"authorization={quote_plus(value)}")


def test_a_token_without_a_look_of_one_is_removed() -> None:
    remember_token("opaque-t0ken")

    assert quoted("scope opaque-t0ken, code: opaque-t0ken.") == "scope ***, code: ***."


def test_a_presigned_url_is_removed_as_a_whole_and_in_parts() -> None:
    url = (
        "https://s3.example/x.csv?X-Amz-Date=1&X-Amz-Credential=AKIAEXAMPLE%2F20261128%2Fs3&X-Amz-Signature="
        + "f00d" * 16
    )
    remember_url(url)
    for part in (
        url,
        url.partition("?")[2],
        "AKIAEXAMPLE/20261128/s3",
        "f00d" * 16,
        quote_plus(url),
        html.escape(url),
    ):
        assert quoted(f"<{part}>") == "<***>", part


def test_a_short_secret_does_not_shred_texts() -> None:
    remember_login("id", "a" * (MIN_SECRET_LENGTH - 1))
    remember_login("id", "")

    assert quoted("aaaa bbbb Og==") == "aaaa bbbb Og=="


def test_a_secret_at_the_cut_is_removed_whole() -> None:
    remember_token("opaque-t0ken")
    for length in range(MAX_QUOTED - 20, MAX_QUOTED + 5):
        assert "opaq" not in quoted("x" * length + "opaque-t0ken" * 200)[-30:].replace("opaq***", "")
    assert "opaq" not in quoted("opaque-t0ken" * 2000)


def test_many_urls_do_not_make_a_secret_forgotten() -> None:
    remember_token("opaque-t0ken")
    for number in range(2000):
        remember_url(f"https://s3.example/x?Signature={number:064}")

    assert quoted("opaque-t0ken") == "***"


@pytest.mark.parametrize(
    "letter", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u202e\u2066\u2028\u2029\ufeff\ud800"]
)
def test_control_characters_are_escaped(letter: str) -> None:
    text = quoted(f"a{letter}b")

    assert text.isprintable()
    assert text != "ab"


@pytest.mark.parametrize("letter", ["x", "\x1b", "\u202e", "\U000e0001"])
def test_a_quote_is_short(letter: str) -> None:
    assert len(quoted(letter * 1_000_000)) <= MAX_QUOTED
    assert quoted(letter * 1_000_000).endswith("…")
    assert len(excerpt(letter.encode() * 1_000_000)) < 400


def test_utf_16_does_not_hide_a_secret() -> None:
    remember_token("opaque-t0ken")

    assert "t0ken" not in excerpt("opaque-t0ken".encode("utf-16"))


def test_an_excerpt_is_short_and_readable() -> None:
    assert excerpt(b"<html>\xff</html>") == repr("<html>\ufffd</html>")
    assert excerpt(b"") == "an empty body"
    assert len(excerpt(b"x" * 10_000)) < 400


def test_library_logs_keep_their_lines_but_not_the_signature(caplog: pytest.LogCaptureFixture) -> None:
    guard_library_logs()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3.connectionpool").debug(
            '%s "GET %s"', "http://s3", "/x.csv?X-Amz-Signature=f00d"
        )
        logging.getLogger("requests_oauthlib.oauth2_session").debug(
            "Obtained token %s.", {"access_token": "abc"}
        )

    assert [record.getMessage() for record in caplog.records] == ['http://s3 "GET /x.csv?***"']


@pytest.mark.parametrize("name", ["urllib3.connection", "urllib3.connectionpool", "aiohttp.internal"])
def test_library_logs_lose_control_characters_and_tracebacks(
    caplog: pytest.LogCaptureFixture, name: str
) -> None:
    guard_library_logs()
    remember_token("opaque-t0ken")
    try:
        raise ValueError("opaque-t0ken\nraw")
    except ValueError:
        logging.getLogger(name).warning("headers: %s", "\x1b[2J\nopaque-t0ken" * 500, exc_info=True)

    assert "t0ken" not in caplog.text
    assert "\x1b" not in caplog.text
    assert caplog.text.count("\n") == 1
    assert len(caplog.records[0].getMessage()) <= 1000


SECRET = "s3cr3t-value"


def variables(problem: BaseException) -> str:
    trace, shown = problem.__traceback__, ""
    while trace is not None:
        shown += f"{trace.tb_frame.f_code.co_name} {trace.tb_frame.f_locals!r} "
        trace = trace.tb_next
    return shown


def raised(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # any
        call()
    return caught.value


@pytest.mark.parametrize(
    "kind", [OSError, UnicodeError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, AssertionError]
)
def test_no_exception_keeps_variables(kind: type[BaseException]) -> None:
    def send(headers: dict[str, str]) -> None:
        closure = headers["Authorization"]
        (lambda: closure)()
        raise kind

    @clear_frames
    def call(secret: str) -> None:
        send({"Authorization": secret})

    @clear_frames
    async def acall(secret: str) -> None:
        await asyncio.sleep(0)
        send({"Authorization": secret})

    async def in_loop() -> str:
        try:
            await acall(SECRET)
        except BaseException as problem:
            return variables(problem)
        return ""

    for shown in (variables(raised(lambda: call(SECRET))), asyncio.run(in_loop())):
        assert "send {}" in shown
        assert SECRET not in shown


def test_chained_errors_keep_text_without_credentials_only() -> None:
    @clear_frames
    def call(secret: str) -> None:
        try:
            try:
                raise OSError("disk full")
            except OSError as problem:
                raise ValueError(f"https://s3.example/x?X-Amz-Signature={secret}") from problem
        except ValueError as problem:
            raise RuntimeError("not written") from problem

    @clear_frames
    def other(secret: str) -> None:
        try:
            raise OSError("disk full")
        except OSError as problem:
            raise RuntimeError("not written") from problem

    problem = raised(lambda: call(SECRET))
    assert problem.__cause__ is None
    assert problem.__context__ is None
    problem = raised(lambda: other(SECRET))
    assert repr(problem.__cause__) == "OSError('disk full')"
    assert problem.__cause__ is not None
    assert problem.__cause__.__traceback__ is None


def test_the_text_of_an_exception_loses_a_known_secret() -> None:
    remember_token("opaque-t0ken")

    @clear_frames
    def call() -> None:
        raise RuntimeError("cannot encode 'opaque-t0ken'")

    assert str(raised(call)) == "cannot encode '***'"


def test_the_exception_its_caller_handles_is_left_alone() -> None:
    @clear_frames
    def call() -> None:
        raise RuntimeError

    def outer() -> None:
        try:
            raise OSError("the caller's own")
        except OSError:
            call()

    problem = raised(outer)
    assert isinstance(problem.__context__, OSError)
    assert problem.__context__.__traceback__ is not None


@pytest.mark.parametrize(
    "start", ["eyJ", "eyJ-", "Bearer ", "?", "?a=", "client_secret", "access_token: ", "%41", "&#65;", "\\\\"]
)
def test_redaction_takes_linear_time(start: str) -> None:
    """With a quadratic pattern this takes minutes, and the test is stopped."""
    _credentials_in(start * (200_000 // len(start)))
