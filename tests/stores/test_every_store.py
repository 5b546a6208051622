"""The same scenarios for every store: docs/files.md has the table."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from io import BytesIO

import pyarrow.parquet
import pytest

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaCheckError,
    OleriaDestinationError,
    OleriaInputError,
    OleriaTransientError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from airflow_provider_oleria.transfer.pipeline import prepared
from tests.servers.stores import Store

from .exports import export

PREVIOUS = b"yesterday's\n1\n"

MANY = 60 * 1024 * 1024
"""Bytes, more than the 50 MiB of the largest block of any filesystem."""


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_a_download_is_saved(oleria_sandbox: Sandbox, any_store: Store, suffix: str) -> None:
    name, download_id = f"out.{suffix}", export(oleria_sandbox)
    prepared(f"{any_store.url}/{name}", SaveOptions())
    OleriaHook().save_download(download_id, f"{any_store.url}/{name}")

    expected = oleria_sandbox.expected(download_id).path.read_bytes()
    files = any_store.files()
    assert list(files) == [name]
    if suffix == "parquet":
        assert pyarrow.parquet.read_table(BytesIO(files[name])).num_rows == 1_000
    else:
        assert (gzip.decompress(files[name]) if suffix == "csv.gz" else files[name]) == expected
    assert any_store.leftovers() == []


def test_a_check_that_refuses_keeps_the_previous_file(oleria_sandbox: Sandbox, any_store: Store) -> None:
    any_store.put("out.csv", PREVIOUS)
    with pytest.raises(OleriaCheckError):
        OleriaHook().save_download(
            export(oleria_sandbox), f"{any_store.url}/out.csv", SaveOptions(min_rows=1_001)
        )

    assert any_store.files() == {"out.csv": PREVIOUS}
    assert any_store.leftovers() == []


@pytest.mark.parametrize("previous", [None, PREVIOUS])
def test_a_body_that_breaks_for_good_keeps_the_previous_file(
    oleria_sandbox: Sandbox, any_store: Store, previous: bytes | None
) -> None:
    if previous is not None:
        any_store.put("out.csv", previous)
    oleria_sandbox.fail(Fault(kind="fetch", cut=100_000))
    oleria_sandbox.fail(Fault(kind="fetch", nth=2, times=None, drop=True))
    with pytest.raises(OleriaTransientError):
        OleriaHook().save_download(export(oleria_sandbox), f"{any_store.url}/out.csv")

    assert any_store.files() == ({} if previous is None else {"out.csv": previous})
    assert any_store.leftovers() == [] or any_store.is_tidied_later


def test_a_second_night_replaces_the_file(any_store: Store) -> None:
    path = resolve(f"{any_store.url}/out.csv")
    for content in (b"night 1 is longer", b"night 2"):
        check_writable(path)
        with publish(path, len(content)) as file:
            file.write(content)
        assert any_store.files() == {"out.csv": content}
    assert any_store.leftovers() == []


def test_of_two_tasks_that_write_the_same_file_at_once_one_succeeds_or_both(any_store: Store) -> None:
    path = resolve(f"{any_store.url}/out.csv")
    any_store.put("out.csv", b"night 1")
    with suppress(OleriaDestinationError), publish(path, 0) as file:
        file.write(b"night 2")
        with publish(path, 0) as other:
            other.write(b"night 3")
        assert any_store.files() == {"out.csv": b"night 3"}

    assert any_store.files()["out.csv"] in (b"night 2", b"night 3")
    assert any_store.leftovers() == []


def test_a_file_larger_than_any_block(any_store: Store) -> None:
    content = random.Random(1).randbytes(MANY)
    any_store.put("out.csv", PREVIOUS)
    path = resolve(f"{any_store.url}/out.csv")
    check_writable(path)
    with publish(path, len(content), max_concurrency=4) as file:
        for start in range(0, MANY, 1_000_003):
            file.write(content[start : start + 1_000_003])
        assert any_store.files() == {"out.csv": PREVIOUS}

    assert any_store.files() == {"out.csv": content}
    assert any_store.leftovers() == []


WRITER = """
import sys
from airflow_provider_oleria.transfer.destination import publish, resolve

with publish(resolve(sys.argv[1]), 0, max_concurrency=2) as file:
    for _ in range(40):
        file.write(bytes(500_000))
    print("in mid-write", flush=True)
    sys.stdin.read()
"""


def test_a_killed_writer_keeps_the_previous_file_and_the_next_try_replaces_it(any_store: Store) -> None:
    any_store.put("out.csv", PREVIOUS)
    url = f"{any_store.url}/out.csv"
    with subprocess.Popen(
        [sys.executable, "-c", any_store.registration + WRITER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as writer:
        assert writer.stdout is not None
        assert any("in mid-write" in line for line in writer.stdout)
        writer.send_signal(signal.SIGKILL)
    assert any_store.files() == {"out.csv": PREVIOUS}

    path = resolve(url)
    check_writable(path)
    with publish(path, 0) as file:
        file.write(b"new")
    assert any_store.files() == {"out.csv": b"new"}
    assert any_store.leftovers() == [] or any_store.is_tidied_later


@pytest.mark.parametrize("problem", ["missing", "forbidden", "credentials", "unreachable"])
def test_what_cannot_be_written_is_found_before_an_export_is_started(any_store: Store, problem: str) -> None:
    if problem not in any_store.broken:
        pytest.skip("does not exist for this store")
    url = f"{any_store.broken[problem]()}/out.csv"
    error = OleriaDestinationError if problem == "unreachable" else OleriaInputError
    with pytest.raises(error, match="out.csv' cannot be (written|opened): ") as raised:
        prepared(url, SaveOptions())

    text = str(raised.value)
    if "@" in url:
        conn_id = url.partition("://")[2].partition("@")[0]
        assert f"Check the Airflow Connection {conn_id!r}" in text
    assert "\n" not in text
    assert any_store.files() == {}
    assert any_store.leftovers() == []


UNUSABLE = {"sftp": "?", "smb": "?:*"}
"""URL scheme → characters that a name there cannot have."""


@pytest.mark.parametrize("key", ["2026-01-01T00:00:00+00:00/out.csv", "a [b]*/{x} %20 &=.csv", "what?.csv"])
def test_a_name_is_taken_as_it_is(any_store: Store, key: str) -> None:
    if set(key) & set(UNUSABLE.get(any_store.url.partition(":")[0], "")):
        with pytest.raises(OleriaInputError, match="takes a part of 'what[?].csv' for a query|_NAME_INVALID"):
            check_writable(resolve(f"{any_store.url}/{key}"))
        return
    path = resolve(f"{any_store.url}/{key}")
    check_writable(path)
    with publish(path, 0) as file:
        file.write(b"new")

    assert any_store.files() == {key: b"new"}
