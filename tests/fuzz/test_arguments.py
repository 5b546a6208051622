"""Connections, arguments of operators, presigned URLs, and what Airflow has stored."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from dataclasses import fields
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from airflow_provider_oleria.api.protocol import build_download_body
from airflow_provider_oleria.connection.settings import Settings, read_settings
from airflow_provider_oleria.downloads import Download, SaveOptions
from airflow_provider_oleria.exceptions import OleriaConfigurationError, OleriaInputError
from airflow_provider_oleria.net.addresses import check_presigned_url
from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.tasks.durable import ResumeRecord
from airflow_provider_oleria.triggers.oleria import completed_download
from tests.hook.test_planted_secrets import SECRET, URL

from .hostile import ARGUMENTS, JSON_VALUES, NOISE, NUMBERS, only_ours, shape, words

HOSTS = words(
    "store.example s3.amazonaws.com münchen.example localhost localhost. 127.0.0.1 127.1 0x7f000001 192.0.2.1 "
    "[::1] [2001:db8::1] [::ffff:127.0.0.1]"
)
URLS = st.builds(
    "{}{}{}{}/{}".format,
    st.sampled_from(
        ["https://", "https://", "http://", "HTTPS://", "https:", "//", "ftp://", "https:\\\\", ""]
    ),
    st.sampled_from(["", "", "user:pw@", f"{SECRET}@", "@", "\\@", "#@", "?@"]),
    st.sampled_from([*HOSTS, "a" * 300, ""]),
    st.sampled_from(["", "", ":443", ":0", ":65536", ":-1", ":x", ":" + "9" * 5000]),
    NOISE | st.just(URL),
)
SETTINGS = Settings("https://api.example", "https://auth.example", "id", SECRET)


@given(url=URLS)
def test_a_presigned_url_is_public_to_any_parser_or_refused(url: str) -> None:
    with only_ours():
        check_presigned_url(url, SETTINGS)
        parts, others = urlsplit(url), parse_url(url)
        host = (others.host or "").strip("[]")
        assert ("https", parts.hostname, parts.port) == (others.scheme, host, others.port)
        with suppress(ValueError):  # a name
            assert ip_address(host).is_global


EXTRAS = shape(
    ARGUMENTS,
    auth_url=["https://auth.example"],
    client_id=["id"],
    client_secret=[SECRET],
    audience=["a"],
    scope=["s"],
    timeout=[1, "5"],
    verify=[True, "true"],
    store_hosts=["a.example", ["a.example"]],
    retry_attempts=[1, "2"],
    retry_delay=[0.1],
    retry_max_wait=[9],
)


@given(
    host=st.just("https://api.example") | URLS | NOISE | st.none(),
    port=st.none() | st.integers(-1, 70_000),
    schema=st.sampled_from([None, "http"]) | NOISE,
    login=st.none() | NOISE,
    password=st.sampled_from([None, SECRET]),
    extra=EXTRAS,
)
def test_a_connection_is_read_or_refused(**fields: Any) -> None:
    with only_ours(OleriaConfigurationError):
        assert urlsplit(read_settings("Connection 'x'", **fields).api_url).hostname


VALUES = st.lists(
    NUMBERS | NOISE | st.datetimes() | st.sampled_from(["7d", "2026-05-12T17:32:00Z"]), max_size=2
)
FILTERS = st.lists(
    st.builds(
        dict,
        shape(
            ARGUMENTS,
            dataType=words("string number boolean timestamp enum"),
            field=["f"],
            filterType=words("eq in between last isNull"),
        ),
        values=VALUES | ARGUMENTS,
    ),
    max_size=2,
)
SORTS = st.lists(shape(ARGUMENTS, field=["f"], sortType=["asc", "desc"]), max_size=2)
TEMPLATED = st.sampled_from(["{{ ds }}", "/x.parquet", "a.json", ["a"], {"a": "int64"}])
ANY = ARGUMENTS | ARGUMENTS.map(repr) | TEMPLATED
NAMES = [
    *words("data_context oleria_conn_id destination poll_interval timeout resume_window"),
    *(field.name for field in fields(SaveOptions)),
]


@given(
    filter_by=FILTERS | FILTERS.map(repr) | ANY,
    sort_by=SORTS | SORTS.map(repr) | ANY,
    others=st.dictionaries(st.sampled_from(NAMES), ANY, max_size=3),
)
def test_arguments_are_taken_or_refused(filter_by: Any, sort_by: Any, others: dict[str, Any]) -> None:
    with suppress(OleriaInputError):
        json.dumps(build_download_body("risks", filter_by, sort_by), allow_nan=False)
    arguments = {"data_context": "risks", "filter_by": filter_by, "sort_by": sort_by, **others}
    with suppress(OleriaInputError), warnings.catch_warnings(action="ignore"):
        OleriaDownloadOperator(task_id="x", **arguments)._check_rendered()


@given(
    event=JSON_VALUES
    | shape(status=["completed", "error"], download_id=["id-1"], error=["OleriaError", "SystemExit"])
)
def test_an_event_has_a_download_or_an_error(event: Any) -> None:
    with only_ours():
        assert isinstance(completed_download(event), str)
        completed_download({"status": "error", "message": "no", "error": event})


@given(
    record=JSON_VALUES
    | shape(download_id=["id-1"], fingerprint=["request"], created_at=[0, 1e9], refused=["saving"])
)
@example(record={"download_id": "id-1", "fingerprint": "request", "created_at": 10**400})
def test_a_record_is_resumed_or_replaced(record: Any) -> None:
    with only_ours():
        resume = ResumeRecord({"oleria_download": record}, "request", "saving", lambda: 1e9)  # type: ignore[arg-type]  # a dict has get
        resume.load(3600, lambda download_id: Download(download_id, "accepted"))
