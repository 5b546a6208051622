"""Connection fields → settings, or an error that names each of them."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from operator import methodcaller
from typing import Any

import pytest

from airflow_provider_oleria.connection.settings import DEFAULT_SCOPE, RetryPolicy, read_settings
from airflow_provider_oleria.exceptions import OleriaConfigurationError

EXTRA = {
    "client_id": "the-id",
    "client_secret": "the-secret",
    "auth_url": "https://auth.example/oauth2/token",
}


def read(extra: dict[str, Any] | None = None, **fields: Any) -> Any:
    names = ("host", "port", "schema", "login", "password")
    return read_settings(
        "Connection 'oleria_default'",
        extra=EXTRA if extra is None else extra,
        **{**dict.fromkeys(names), "host": "api.example", **fields},
    )


@pytest.mark.parametrize(
    ("fields", "api_url"),
    [
        ({"host": "api.example"}, "https://api.example"),
        ({"host": "https://api.example/"}, "https://api.example"),
        ({"host": " https://api.example:8443/ "}, "https://api.example:8443"),
        ({"host": "api.example", "port": 8443}, "https://api.example:8443"),
        ({"host": "HTTPS://API.example"}, "https://api.example"),
        ({"host": "https://api.example:443/"}, "https://api.example"),
        ({"host": "api.example", "port": 443}, "https://api.example"),
        ({"host": "127.0.0.1", "schema": "http", "port": 443}, "http://127.0.0.1:443"),
        ({"host": "https://api.example:1", "port": 2}, "https://api.example:1"),
        ({"host": "127.0.0.1", "port": 80, "schema": "http"}, "http://127.0.0.1"),
        ({"host": "http://localhost:8089"}, "http://localhost:8089"),
        ({"host": "http://[::1]:8089"}, "http://[::1]:8089"),
        ({"host": "https://192.0.2.7"}, "https://192.0.2.7"),
        ({"host": "https://büro.example"}, "https://büro.example"),
        ({"host": "https://devx_1.example."}, "https://devx_1.example."),
    ],
)
def test_host_is_taken_with_or_without_scheme_port_and_slash(fields: dict, api_url: str) -> None:
    assert read(**fields).api_url == api_url


def test_defaults() -> None:
    settings = read()

    assert (settings.scope, settings.audience, settings.timeout, settings.verify) == (
        DEFAULT_SCOPE,
        None,
        60.0,
        True,
    )


def test_login_and_password_stand_in_for_the_extras_but_do_not_override_them() -> None:
    settings = read({"auth_url": EXTRA["auth_url"]}, login="login-id", password="login-secret")
    assert (settings.client_id, settings.client_secret) == ("login-id", "login-secret")

    settings = read(login="login-id", password="login-secret")
    assert (settings.client_id, settings.client_secret) == ("the-id", "the-secret")


def test_all_missing_fields_are_named_at_once() -> None:
    with pytest.raises(OleriaConfigurationError) as caught:
        read({}, host=None)

    for name in ("oleria_default", "host (API URL", "auth_url", "client_id", "client_secret", "Manage APIs"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "extra", "message"),
    [
        ({"host": "http://api.example"}, {}, "must be https"),
        ({"host": "http://127.0.0.1.evil.example"}, {}, "must be https"),
        ({"host": "https://user:pw@api.example"}, {}, "must not contain a user name or password"),
        ({"host": "https://api.example/v1"}, {}, "scheme and host only"),
        ({"host": "https://api.example?key=s3cr3t"}, {}, r"API URL\) must not contain spaces, a query"),
        (
            {},
            {"auth_url": "https://auth.example/token?key=s3cr3t"},
            r"URL\) must not contain spaces, a query",
        ),
        (
            {},
            {"auth_url": "https://auth.example/token#s3cr3t"},
            r"URL\) must not contain spaces, a query",
        ),
        ({"host": "ftp://api.example"}, {}, "must be a URL"),
        ({"host": "https://api.example:port"}, {}, "is not a URL"),
        (
            {"host": "https://devx..oleria.io"},
            {},
            r"the host \(API URL\) has 'devx..oleria.io', which is not",
        ),
        ({"host": "https://devx.<tenant>.oleria.io"}, {}, r"the host \(API URL\) has a placeholder"),
        ({"host": f"https://{'a' * 70}.oleria.io"}, {}, "is not the name of a host"),
        ({"host": "https://-devx.oleria.io"}, {}, "is not the name of a host"),
        ({"host": "https://devx!.oleria.io"}, {}, "is not the name of a host"),
        ({"host": "https://" + ".".join(["label"] * 50)}, {}, "is not the name of a host"),
        ({"host": "https://999.1.1.1.:x"}, {}, "is not a URL"),
        ({}, {"auth_url": "https://auth..example/token"}, "auth_url.* is not the name of a host"),
        ({}, {"auth_url": "https://<authentication URL>"}, "auth_url"),
        ({}, {"auth_url": "https://<tenant>.example/token"}, "auth_url.* has a placeholder"),
        ({}, {"auth_url": f"https://{'ü' * 70}.example/token"}, "auth_url.* is not the name of a host"),
        ({}, {"auth_url": "http://auth.example/token"}, "auth_url.* must be https"),
        ({}, {"auth_url": "auth.example"}, "auth_url.* must be a URL"),
        ({}, {"client_id": 1000.0}, "'client_id' must be a string, not float .* set the Connection as JSON"),
        ({}, {"client_secret": float("inf")}, "'client_secret' must be a string, not float"),
        ({}, {"audience": True}, "'audience' must be a string, not bool"),
        ({}, {"scope": ["a"]}, "'scope' must be a string, not list"),
        ({}, {"timeout": "soon"}, "'timeout' must be a number of seconds"),
        ({}, {"timeout": 0}, "'timeout' must be a number of seconds"),
        ({}, {"timeout": True}, "'timeout' must be a number of seconds"),
        ({}, {"timeout": 10**400}, "'timeout' must be a number of seconds"),
        ({}, {"timeout": 1e300}, "'timeout' must be a number of seconds .* at most ten years"),
        ({}, {"retry_attempts": 0}, "'retry_attempts' must be a"),
        ({}, {"retry_attempts": "2.5"}, "'retry_attempts' must be a whole number"),
        ({}, {"retry_attempts": "many"}, "'retry_attempts' must be a"),
        ({}, {"retry_max_wait": -1}, "'retry_max_wait' must be a number of seconds"),
        ({}, {"verify": False}, "'verify' must be true or the path"),
        ({}, {"verify": "/no/such/bundle.pem"}, "no CA bundle at '/no/such/bundle.pem'"),
        ({}, {"verify": "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 400}, "no CA bundle at '-----BEGIN"),
        ({}, {"verify": "/" + "a" * 300}, "no CA bundle at '/aaa"),
    ],
)
def test_a_malformed_field_is_named(fields: dict, extra: dict, message: str) -> None:
    with pytest.raises(OleriaConfigurationError, match=message) as caught:
        read({**EXTRA, **extra}, **fields)

    assert "the-secret" not in str(caught.value)


def test_the_secret_is_not_shown() -> None:
    assert "the-secret" not in repr(read())


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, methodcaller("serialize")])
def test_settings_are_neither_pickled_nor_copied(take: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="hold the client secret"):
        take(read())


def test_a_path_or_query_of_the_host_is_not_shown() -> None:
    with pytest.raises(OleriaConfigurationError) as caught:
        read(host="https://api.example/pl4nted?key=pl4nted")

    assert "pl4nted" not in str(caught.value)


def test_a_client_id_or_secret_given_twice_is_pointed_out_without_showing_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read(login="another-id", password="another-secret")

    assert [record.getMessage().split(" in its")[0] for record in caplog.records] == [
        "Connection 'oleria_default' has a client_id",
        "Connection 'oleria_default' has a client_secret",
    ]
    assert "secret" not in caplog.text.replace("client_secret", "")

    caplog.clear()
    read(login="the-id", password="the-secret")
    assert not caplog.records


@pytest.mark.parametrize(
    "left_empty",
    [
        dict.fromkeys(("audience", "scope", "timeout", "verify")),  # the form of Airflow 3
        {"timeout": None},  # the form of Airflow 2.11
        dict.fromkeys(("audience", "scope", "timeout", "verify"), ""),
    ],
)
def test_what_the_form_stores_for_empty_fields_is_the_default(left_empty: dict[str, Any]) -> None:
    assert read({**EXTRA, **left_empty}) == read()


def test_numbers_and_booleans_may_come_as_text() -> None:
    settings = read({**EXTRA, "timeout": "30", "verify": "true"})

    assert (settings.timeout, settings.verify) == (30.0, True)


@pytest.mark.parametrize(
    "query",
    [
        {"client_id": "12345678", "audience": "98765432109876543210", "timeout": "30"},
        {"client_id": "007", "scope": "1_000", "timeout": "1e2", "retry_attempts": "3"},
        {"client_secret": "42", "audience": "null", "timeout": "null", "verify": "true"},
        {"client_id": "a=b", "audience": "", "timeout": "2.5", "verify": ""},
    ],
)
def test_the_values_of_a_connection_uri_are_the_same_as_text_and_as_json(query: dict[str, str]) -> None:
    texts = {**EXTRA, **query}

    assert read({name: _as_airflow_reads(text) for name, text in texts.items()}) == read(texts)


def _as_airflow_reads(text: str) -> Any:
    """A value of a Connection URI's query in Airflow's command line, API server and scheduler (3.3.2)."""
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    return text


def test_retries_are_as_the_connection_has_them() -> None:
    assert read().retry == RetryPolicy()
    retry = read({**EXTRA, "retry_attempts": "3", "retry_max_wait": 90, "retry_delay": 0.5}).retry
    assert retry == RetryPolicy(max_attempts=3, max_wait=90.0, initial_backoff=0.5)
