"""Saving: the destination holds the complete, checked file or the previous one."""

from __future__ import annotations

import errno
import os
import random
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.exceptions import (
    OleriaCheckError,
    OleriaDestinationError,
    OleriaInputError,
)
from airflow_provider_oleria.sandbox import Sandbox
from airflow_provider_oleria.transfer.destination.local import LocalFile
from airflow_provider_oleria.transfer.pipeline import prepared

from .saving import ROWS, assert_whole, either_way, save


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"min_rows": ROWS + 1}, "min_rows: expected at least 5,001 rows; found 5,000"),
        (
            {"required_columns": ["department", "salary"]},
            "required_columns: expected department, salary; found identityId",
        ),
        ({"exact_columns": ["department"]}, "exact_columns: expected department; found identityId"),
    ],
)
def test_a_gate_that_does_not_hold_leaves_the_previous_file(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path, gate: dict, message: str
) -> None:
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(OleriaCheckError, match=message):
        save(large_download, tmp_path / "out.csv", SaveOptions(**gate))

    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_gates_that_hold(oleria_sandbox: Sandbox, large_download: str, tmp_path: Path) -> None:
    header = oleria_sandbox.expected(large_download).path.open().readline().strip().split(",")
    save(
        large_download,
        tmp_path / "out.csv",
        SaveOptions(min_rows=ROWS, required_columns=["department"], exact_columns=header),
    )

    assert_whole(oleria_sandbox, large_download, tmp_path / "out.csv")


def test_the_file_mode_is_what_the_umask_asks_for(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        save(large_download, tmp_path / "new" / "out.csv")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new" / "out.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["a folder", "a file as folder"])
def test_a_destination_that_cannot_be_written_is_found_before_anything_is_fetched(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    destination = tmp_path / ("folder" if name == "a folder" else "file/out.csv")
    with pytest.raises(OleriaInputError, match="cannot be written"):
        save(large_download, destination)

    assert not oleria_sandbox.calls


@pytest.fixture
def full_at() -> Iterator[Callable[[int], None]]:
    """Lets no file of this process grow beyond ``size`` bytes: as near to a full disk as a test gets without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_found_before_anything_is_fetched(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path, full_at: Callable[[int], None]
) -> None:
    full_at(0)
    with pytest.raises(OleriaDestinationError, match=r"out.csv' cannot be written: \[Errno 27\]"):
        prepared((tmp_path / "out.csv").as_uri(), SaveOptions())

    assert not oleria_sandbox.calls
    assert not list(tmp_path.iterdir())


@either_way
def test_a_disk_that_fills_up_meanwhile_keeps_the_previous_file(
    oleria_sandbox: Sandbox,
    large_download: str,
    tmp_path: Path,
    full_at: Callable[[int], None],
    options: SaveOptions,
) -> None:
    (tmp_path / "out.csv").write_text("before")
    full_at(300_000)
    with pytest.raises(OleriaDestinationError, match=r"out.csv' cannot be written: \[Errno 27\]"):
        save(large_download, tmp_path / "out.csv", options)

    assert (tmp_path / "out.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_filesystem_that_takes_no_advice_gets_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*advice: int) -> None:
        asked.append(advice)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    file = LocalFile(tmp_path / "out.csv", writeback=1000)
    file.open()
    for _ in range(5):
        file.write(b"x" * 600)
    file.publish()

    assert (tmp_path / "out.csv").read_bytes() == b"x" * 3000
    assert [(offset, length) for _, offset, length, _ in asked] == [(0, 1200), (1200, 1200)]


# Forks a process for each moment, which kills itself then; Airflow is imported only once.
KILLED = """
import hashlib, os, pathlib, signal, sys
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.api import client
from airflow_provider_oleria.downloads import SaveOptions
from airflow_provider_oleria.transfer import pipeline

large_download, destination, *moments = sys.argv[1:]
for moment in moments:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, float(moment))
        OleriaHook().save_download(large_download, destination, SaveOptions(max_concurrency=2, part_size=65536))
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    file = pathlib.Path(destination.removeprefix("file://"))
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "absent"
    print("MOMENT", "killed" if killed else "done", found, flush=True)  # a child would print a buffer again
    file.unlink(missing_ok=True)
"""


def test_killed_at_any_moment_it_leaves_no_part_and_the_next_try_cleans_up(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    oleria_sandbox.settings.bytes_per_second = 1_000_000
    destination = tmp_path / "out.csv"
    moments = [str(random.uniform(0.01, 0.6)) for _ in range(20)]
    answer = subprocess.run(
        [sys.executable, "-c", KILLED, large_download, destination.as_uri(), *moments],
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [line.split()[1:] for line in answer.stdout.splitlines() if line.startswith("MOMENT")]

    assert len(outcomes) == 20
    assert {found for _, found in outcomes} <= {"absent", oleria_sandbox.expected(large_download).sha256}
    assert ["done", "absent"] not in outcomes
    assert outcomes.count(["killed", "absent"]) >= 5
    assert all(path.name.endswith(".part") for path in tmp_path.iterdir())
    oleria_sandbox.settings.bytes_per_second = None
    save(large_download, destination)

    assert_whole(oleria_sandbox, large_download, destination)


def test_a_file_that_is_still_being_written_is_not_removed(
    oleria_sandbox: Sandbox, large_download: str, tmp_path: Path
) -> None:
    from airflow_provider_oleria.transfer.destination import publish, resolve

    path = resolve((tmp_path / "out.csv").as_uri())
    with publish(path, 0) as file:
        file.write(b"the slower of two")
        save(large_download, tmp_path / "out.csv")
        assert len(list(tmp_path.iterdir())) == 2

    assert (tmp_path / "out.csv").read_bytes() == b"the slower of two"
