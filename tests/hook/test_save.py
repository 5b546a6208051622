"""Saving: what stands at the destination is whole and as asked for, or what stood there before."""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.errors import (
    OleriaDestinationError,
    OleriaGateError,
    OleriaGivenUpError,
    OleriaInputError,
    OleriaObjectChangedError,
    OleriaTransferError,
)
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.transfer import destination, source

pytestmark = pytest.mark.usefixtures("short_pauses", "slow_lines")


# About 800 KB, fetched in parts of 64 KiB: as many ranges as a file of 100 MB has otherwise.
ROWS, PARTS = 5_000, SaveOptions(parts=4, part_size=64 * 1024)
ONE_STREAM = SaveOptions(parts=1)

either_way = pytest.mark.parametrize("options", [PARTS, ONE_STREAM], ids=["parts", "one stream"])


@pytest.fixture
def download_id(oleria_sandbox: Sandbox) -> str:
    oleria_sandbox.settings.export_seconds = 0
    oleria_sandbox.settings.rows = ROWS
    return make(oleria_sandbox)


def make(sandbox: Sandbox) -> str:
    hook = OleriaHook()
    created = hook.create_download(DataContext.ACCESS_INVENTORY_IDENTITIES)
    hook.wait_for_download(created.id, poll_interval=0.01)
    sandbox.reset()
    return created.id


def save(download_id: str, destination: Path, options: SaveOptions = PARTS) -> None:
    OleriaHook().save_download(download_id, destination.as_uri(), options)


def assert_whole(sandbox: Sandbox, download_id: str, destination: Path) -> None:
    assert destination.read_bytes() == sandbox.expected(download_id).path.read_bytes()
    assert [path.name for path in destination.parent.iterdir()] == [destination.name]


def ranges(sandbox: Sandbox) -> list[str | None]:
    return [call.range for call in sandbox.calls if call.kind == "fetch"]


def test_a_large_file_comes_in_parts_each_once_from_where_the_first_connection_stands(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    save(download_id, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    whole, *parts = ranges(oleria_sandbox)
    stretches = sorted(tuple(map(int, re.findall(r"\d+", part or ""))) for part in parts)
    assert whole is None
    assert len(parts) >= PARTS.parts
    assert 0 < stretches[0][0] < PARTS.part_size
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(stretches))
    assert stretches[-1][1] == oleria_sandbox.expected(download_id).size_bytes - 1
    assert oleria_sandbox.count("get") == 1


def test_a_connection_that_is_fast_enough_brings_a_large_file_alone(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_FAST", 1.0)
    save(download_id, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert ranges(oleria_sandbox) == [None]


def test_a_small_file_takes_one_plain_get(oleria_sandbox: Sandbox, download_id: str, tmp_path: Path) -> None:
    save(download_id, tmp_path / "out.csv", SaveOptions())

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert [(call.method, call.range) for call in oleria_sandbox.calls if call.kind == "fetch"] == [
        ("GET", None)
    ]


def test_a_store_without_ranges_is_read_in_one_stream(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.ranges = False
    save(download_id, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert ranges(oleria_sandbox) == [None]


def test_a_store_that_announces_ranges_but_serves_none_is_not_fetched_twice(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.ranges = False
    oleria_sandbox.fail(Fault(kind="fetch", headers={"Accept-Ranges": "bytes"}))
    save(download_id, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert len(ranges(oleria_sandbox)) == 2


@either_way
@pytest.mark.parametrize("breaks", [{"cut": 30_000}, {"stall": 30_000}, {"drop": True}, {"status": 500}])
def test_a_broken_transfer_is_taken_up_at_the_next_missing_byte(
    oleria_sandbox: Sandbox,
    download_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: SaveOptions,
    breaks: dict,
) -> None:
    connection = oleria_sandbox.connection_json().replace('"extra": {', '"extra": {"timeout": 0.3, ')
    monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", connection)
    oleria_sandbox.fail(Fault(kind="fetch", times=3, **breaks))
    save(download_id, tmp_path / "out.csv", options)

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    if options is ONE_STREAM and "cut" in breaks:
        starts = [value and value.split("-")[0] for value in ranges(oleria_sandbox)]
        assert starts == [None, "bytes=30000", "bytes=60000", "bytes=90000"]


def test_progress_resets_the_attempts_so_a_hundred_breaks_are_survived(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", cut=5_000, times=100))
    save(download_id, tmp_path / "out.csv", ONE_STREAM)

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert oleria_sandbox.count("fetch") > 100


def test_a_url_that_expires_on_the_way_is_renewed(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.url_seconds = 0.5
    oleria_sandbox.settings.bytes_per_second = 400_000
    oleria_sandbox.fail(Fault(kind="fetch", cut=300_000))
    save(download_id, tmp_path / "out.csv", ONE_STREAM)

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    refused = sum(call.status == 403 for call in oleria_sandbox.calls if call.kind == "fetch")
    assert oleria_sandbox.count("get") == 1 + refused > 1


def test_an_expired_url_is_renewed_once_for_all_parts(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    # The first of the four parts is asked for alone; the others are on their way together.
    oleria_sandbox.fail(Fault(kind="fetch", nth=3, times=3, expired=True, delay=1))
    save(download_id, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert oleria_sandbox.count("get") == 2


def test_a_url_that_is_never_accepted_is_given_up(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", expired=True, times=None))
    with pytest.raises(OleriaGivenUpError, match="403 AccessDenied: the presigned URL is not accepted"):
        save(download_id, tmp_path / "out.csv")

    assert not list(tmp_path.iterdir())


@either_way
def test_an_object_that_changes_is_fetched_anew_and_never_spliced(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, options: SaveOptions
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", cut=30_000))
    oleria_sandbox.settings.bytes_per_second = 200_000

    def replace_once_begun() -> None:
        while not oleria_sandbox.count("fetch"):
            time.sleep(0.005)
        oleria_sandbox.replace_export(download_id)
        oleria_sandbox.settings.bytes_per_second = None

    with ThreadPoolExecutor() as pool:
        replaced = pool.submit(replace_once_begun)
        save(download_id, tmp_path / "out.csv", options)
        replaced.result()

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert 412 in [call.status for call in oleria_sandbox.calls]


def test_an_object_that_keeps_changing_is_an_error_that_says_so(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    (tmp_path / "out.csv").write_text("before")
    for nth in (2, 4):
        oleria_sandbox.fail(Fault(kind="fetch", status=412, nth=nth))
    oleria_sandbox.fail(Fault(kind="fetch", cut=30_000, times=None))
    with pytest.raises(
        OleriaObjectChangedError, match="was replaced in the store while it was being fetched"
    ):
        save(download_id, tmp_path / "out.csv", ONE_STREAM)

    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@either_way
def test_content_encoding_is_taken_off(
    oleria_sandbox: Sandbox, tmp_path: Path, options: SaveOptions, encoding: str
) -> None:
    oleria_sandbox.settings.update({"rows": ROWS, "export_seconds": 0, "content_encoding": encoding})
    download_id = make(oleria_sandbox)
    oleria_sandbox.fail(Fault(kind="fetch", cut=30_000))
    OleriaHook().save_download(
        download_id, (tmp_path / "out.csv").as_uri(), SaveOptions(parts=options.parts, part_size=32_768)
    )

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")


def test_an_unknown_content_encoding_is_not_saved_as_if_it_were_csv(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.fail(Fault(kind="fetch", headers={"Content-Encoding": "br"}))
    with pytest.raises(OleriaTransferError, match="Content-Encoding 'br', which is not understood"):
        save(download_id, tmp_path / "out.csv")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        ({"min_rows": ROWS + 1}, "min_rows: expected at least 5,001 rows; found 5,000"),
        (
            {"required_columns": ["department", "salary"]},
            "required_columns: expected department, salary; found identityId",
        ),
        ({"expected_columns": ["department"]}, "expected_columns: expected department; found identityId"),
    ],
)
def test_a_gate_that_does_not_hold_leaves_the_previous_file(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, gate: dict, says: str
) -> None:
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(OleriaGateError, match=says):
        save(download_id, tmp_path / "out.csv", SaveOptions(**gate))

    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_gates_that_hold(oleria_sandbox: Sandbox, download_id: str, tmp_path: Path) -> None:
    header = oleria_sandbox.expected(download_id).path.open().readline().strip().split(",")
    save(
        download_id,
        tmp_path / "out.csv",
        SaveOptions(min_rows=ROWS, required_columns=["department"], expected_columns=header),
    )

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")


def test_the_file_mode_is_what_the_umask_asks_for(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        save(download_id, tmp_path / "new" / "out.csv")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new" / "out.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["a folder", "a file as folder"])
def test_a_destination_that_cannot_be_written_is_found_before_anything_is_fetched(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    destination = tmp_path / ("folder" if name == "a folder" else "file/out.csv")
    with pytest.raises(OleriaInputError, match="cannot be written"):
        save(download_id, destination)

    assert not oleria_sandbox.calls


@pytest.fixture
def full_at() -> Iterator[Callable[[int], None]]:
    """Lets no file of this process grow beyond so many bytes: as near to a full disk as a test gets without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_found_before_anything_is_fetched(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, full_at: Callable[[int], None]
) -> None:
    full_at(0)
    with pytest.raises(OleriaDestinationError, match=r"out.csv' cannot be written: \[Errno 27\]"):
        OleriaHook().check_destination((tmp_path / "out.csv").as_uri())

    assert not oleria_sandbox.calls
    assert not list(tmp_path.iterdir())


@either_way
def test_a_disk_that_fills_up_meanwhile_keeps_the_previous_file(
    oleria_sandbox: Sandbox,
    download_id: str,
    tmp_path: Path,
    full_at: Callable[[int], None],
    options: SaveOptions,
) -> None:
    (tmp_path / "out.csv").write_text("before")
    full_at(300_000)
    with pytest.raises(OleriaDestinationError, match=r"out.csv' cannot be written: \[Errno 27\]"):
        save(download_id, tmp_path / "out.csv", options)

    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_filesystem_that_takes_no_advice_gets_the_file_all_the_same(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*advice: int) -> None:
        asked.append(advice)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    monkeypatch.setattr(destination, "_DRAIN", 100_000)
    save(download_id, tmp_path / "out.csv")

    assert_whole(oleria_sandbox, download_id, tmp_path / "out.csv")
    assert asked


# Forks a process for each moment, which kills itself then; Airflow is imported only once.
KILLED = """
import hashlib, os, pathlib, signal, sys
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.api import client
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.transfer import pipeline

download_id, destination, *moments = sys.argv[1:]
for moment in moments:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, float(moment))
        OleriaHook().save_download(download_id, destination, SaveOptions(parts=2, part_size=65536))
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    file = pathlib.Path(destination.removeprefix("file://"))
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "absent"
    print("MOMENT", "killed" if killed else "done", found)
    file.unlink(missing_ok=True)
"""


def test_killed_at_any_moment_it_leaves_no_part_and_the_next_try_cleans_up(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.bytes_per_second = 1_000_000
    destination = tmp_path / "out.csv"
    moments = [str(random.uniform(0.01, 0.6)) for _ in range(20)]
    answer = subprocess.run(
        [sys.executable, "-c", KILLED, download_id, destination.as_uri(), *moments],
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [line.split()[1:] for line in answer.stdout.splitlines() if line.startswith("MOMENT")]

    assert len(outcomes) == 20
    assert {found for _, found in outcomes} <= {"absent", oleria_sandbox.expected(download_id).sha256}
    assert ["done", "absent"] not in outcomes
    assert outcomes.count(["killed", "absent"]) >= 5
    assert all(path.name.endswith(".part") for path in tmp_path.iterdir())
    oleria_sandbox.settings.bytes_per_second = None
    save(download_id, destination)

    assert_whole(oleria_sandbox, download_id, destination)


def test_a_leftover_somebody_is_still_writing_is_not_removed(
    oleria_sandbox: Sandbox, download_id: str, tmp_path: Path
) -> None:
    from airflow_provider_oleria.transfer.destination import publication, resolved

    path = resolved((tmp_path / "out.csv").as_uri())
    with publication(path, 0) as file:
        file.write(b"the slower of two")
        save(download_id, tmp_path / "out.csv")
        assert len(list(tmp_path.iterdir())) == 2

    assert (tmp_path / "out.csv").read_bytes() == b"the slower of two"
