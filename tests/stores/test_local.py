"""Publishing to a local folder, or one that is mounted: what becomes of the target, whatever it was before."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_oleria.exceptions import OleriaDestinationError, OleriaInputError
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from airflow_provider_oleria.transfer.destination.local import LocalFile

NOBODY = 65534


def write(path: Path, content: bytes = b"new") -> None:
    destination = resolve(str(path))
    check_writable(destination)
    with publish(destination, len(content)) as file:
        file.write(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user whom permissions stop."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if os.getuid() == 0:
        os.seteuid(0)
        os.setegid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a filesystem in memory, where the tests may."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("mounting is not permitted")
        return folder

    try:
        yield mount
    finally:
        subprocess.run(["/bin/umount", folder], capture_output=True, check=False)


# -- a replaced file keeps what it was ----------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o664, 0o400])
def test_a_replaced_file_keeps_its_mode(tmp_path: Path, kept: int) -> None:
    (tmp_path / "out.csv").touch(mode=0o600)
    (tmp_path / "out.csv").chmod(kept)
    write(tmp_path / "out.csv")

    assert mode(tmp_path / "out.csv") == kept
    assert (tmp_path / "out.csv").read_bytes() == b"new"


def test_the_new_file_is_never_more_open_than_the_one_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "out.csv").touch(mode=0o600)
    with publish(resolve(str(tmp_path / "out.csv")), 0) as file:
        file.write(b"new")
        assert [mode(path) for path in tmp_path.iterdir()] == [0o600, 0o600]


@pytest.mark.parametrize("content", [b"new", b""])
def test_a_replaced_file_has_a_new_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.csv").touch()
    os.utime(tmp_path / "out.csv", (1_000_000_000, 1_000_000_000))
    write(tmp_path / "out.csv", content)

    assert (tmp_path / "out.csv").stat().st_mtime > 1_000_000_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_replaced_file_keeps_its_owner_and_group(tmp_path: Path) -> None:
    (tmp_path / "out.csv").touch(mode=0o640)
    os.chown(tmp_path / "out.csv", 1234, 2345)
    write(tmp_path / "out.csv")

    status = (tmp_path / "out.csv").stat()
    assert (status.st_uid, status.st_gid, mode(tmp_path / "out.csv")) == (1234, 2345, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a file of another user")
def test_a_file_of_another_user_is_replaced_with_its_mode(unprivileged: Path) -> None:
    os.seteuid(0)
    (unprivileged / "out.csv").touch(mode=0o604)
    os.seteuid(NOBODY)
    write(unprivileged / "out.csv")

    assert mode(unprivileged / "out.csv") == 0o604


def test_a_replaced_file_keeps_its_access_control_list(tmp_path: Path) -> None:
    (tmp_path / "out.csv").touch(mode=0o600)
    # Version 2; owner rw-, user 1234 r--, group ---, mask r--, others ---.
    entries = [(1, 6, -1), (2, 4, 1234), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = b"\x02\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + who.to_bytes(4, "little", signed=True)
        for tag, rights, who in entries
    )
    try:
        os.setxattr(tmp_path / "out.csv", "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this filesystem has no access control lists")
    write(tmp_path / "out.csv")

    assert os.getxattr(tmp_path / "out.csv", "system.posix_acl_access") == acl


# -- what the target is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("previous", [b"previous", None], ids=["to a file", "dangling"])
def test_a_symbolic_link_is_written_through(tmp_path: Path, previous: bytes | None) -> None:
    target = tmp_path / "elsewhere" / "real.csv"
    if previous is not None:
        target.parent.mkdir()
        target.write_bytes(previous)
    (tmp_path / "out.csv").symlink_to(Path("elsewhere") / "real.csv")
    write(tmp_path / "out.csv")

    assert (tmp_path / "out.csv").is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["real.csv"]
    assert [path.name for path in tmp_path.iterdir()] in (["out.csv", "elsewhere"], ["elsewhere", "out.csv"])


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "out.csv").symlink_to("other.csv")
    (tmp_path / "other.csv").symlink_to("out.csv")
    with pytest.raises(OleriaInputError, match=r"out.csv' cannot be written: \[Errno 40\]"):
        check_writable(resolve(str(tmp_path / "out.csv")))


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)  # in the working folder: an address is at most 108 bytes


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [fifo, unix_socket, link_to_a_device])
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "out.csv")
    destination = resolve(str(tmp_path / "out.csv"))
    with pytest.raises(OleriaInputError, match="is not a regular file"):
        check_writable(destination)
    with (
        pytest.raises(OleriaInputError, match="is not a regular file"),
        publish(destination, 0) as file,
    ):
        file.write(b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_file_that_is_a_mount_point_is_refused(mounted: Callable[[str], Path], tmp_path: Path) -> None:
    """As a container mounts a single file."""
    source, target = mounted("size=256k") / "source.csv", tmp_path / "out.csv"
    source.write_bytes(b"previous")
    target.touch()
    subprocess.run(["/bin/mount", "--bind", source, target], check=True)
    try:
        with pytest.raises(OleriaInputError, match="out.csv is a mount point, which cannot be replaced"):
            check_writable(resolve(str(target)))
    finally:
        subprocess.run(["/bin/umount", target], check=True)
    assert source.read_bytes() == b"previous"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a file of another user")
def test_a_file_of_another_user_in_a_folder_with_the_sticky_bit_is_refused(unprivileged: Path) -> None:
    os.seteuid(0)
    os.chown(unprivileged, 0, 0)
    unprivileged.chmod(0o1777)
    (unprivileged / "out.csv").write_bytes(b"previous")
    os.seteuid(NOBODY)
    with pytest.raises(OleriaInputError, match="has the sticky bit: only the owner may replace it"):
        check_writable(resolve(str(unprivileged / "out.csv")))
    write(unprivileged / "own.csv")
    write(unprivileged / "own.csv", b"newer")

    assert {path.name: path.read_bytes() for path in unprivileged.iterdir()} == {
        "out.csv": b"previous",
        "own.csv": b"newer",
    }


@pytest.mark.parametrize(
    "destination", ["data/out.csv", "None", "file:out.csv", "file://data/out.csv", "~/x"]
)
def test_a_relative_path_is_refused(destination: str) -> None:
    with pytest.raises(OleriaInputError, match="must be an absolute path or a URL, not"):
        resolve(destination)


@pytest.mark.parametrize(
    "name",
    ["n" * 240, "n" * 241, "n" * 251 + ".csv", "ü" * 121, "ü" * 127 + "x", "€" * 85],
    ids=lambda name: f"{len(name)} characters, {len(name.encode())} bytes",
)
def test_every_legal_name_is_written(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    write(tmp_path / name, b"newer")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"newer"}


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OleriaInputError, match="File name too long"):
        check_writable(resolve(str(tmp_path / ("n" * 256))))


# -- leftovers ----------------------------------------------------------------------------------------------------


def test_only_its_own_leftovers_are_removed(tmp_path: Path) -> None:
    for name in (
        ".out.csv.0123abcd.part",
        ".out.csv.gz.0123abcd.part",
        ".out.csv.backup.part",
        ".out.csv.part",
    ):
        (tmp_path / name).write_bytes(b"half")
    write(tmp_path / "out.csv")

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".out.csv.backup.part",
        ".out.csv.gz.0123abcd.part",
        ".out.csv.part",
        "out.csv",
    ]


@pytest.mark.parametrize(
    "name", ["[a-z]*.csv", "n" * 250, "ü" * 125], ids=["pattern", "long", "long, not ASCII"]
)
def test_the_leftover_of_any_name_is_removed(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    process = os.fork()
    if not process:
        with publish(resolve(str(target)), 0) as file:
            file.write(b"half")
            os._exit(0)  # as if killed
    os.waitpid(process, 0)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    write(target)

    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("make", [fifo, unix_socket, Path.mkdir, link_to_a_device])
def test_what_is_named_like_a_leftover_but_is_no_file_stays(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / ".out.csv.0123abcd.part")
    write(tmp_path / "out.csv")

    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.csv.0123abcd.part", "out.csv"]


# -- published is published ---------------------------------------------------------------------------------------


def test_the_content_is_on_disk_before_the_previous_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, fsync = tmp_path / "out.csv", os.fsync
    target.write_bytes(b"previous")
    synced: list[tuple[str, bytes]] = []

    def record(handle: int) -> None:
        status = os.fstat(handle)
        (name,) = [
            path.name for path in (tmp_path, *tmp_path.iterdir()) if path.stat().st_ino == status.st_ino
        ]
        assert stat.S_ISDIR(status.st_mode) or status.st_size == len(b"new")
        synced.append(("folder" if name == tmp_path.name else name.rpartition(".")[2], target.read_bytes()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", record)
    write(target)

    assert synced == [("part", b"previous"), ("folder", b"new")]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO, errno.ENOTSUP])
def test_a_folder_that_cannot_be_synced_is_a_warning(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fsync = os.fsync

    def as_cifs_does(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", as_cifs_does)
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_bytes() == b"new"
    assert "is published, but its folder could not be synced to disk" in caplog.text


def test_a_file_that_cannot_be_closed_after_it_is_published_is_published(tmp_path: Path) -> None:
    file = LocalFile(tmp_path / "out.csv")
    file.open()
    file.write(b"new")
    close = file._file.close

    def fail() -> None:
        close()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file._file.close = fail  # type: ignore[method-assign]  # as on a network filesystem
    file.publish()

    assert (tmp_path / "out.csv").read_bytes() == b"new"


def test_a_folder_that_cannot_be_listed_is_a_warning(
    unprivileged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unprivileged.chmod(0o300)
    with caplog.at_level(logging.WARNING):
        write(unprivileged / "out.csv")
        write(unprivileged / "out.csv", b"newer")

    assert (unprivileged / "out.csv").read_bytes() == b"newer"
    assert "could not be synced to disk: [Errno 13]" in caplog.text


# -- what a retry can change --------------------------------------------------------------------------------------


def test_a_folder_without_the_right_to_write_is_refused(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(OleriaInputError, match=r"out.csv' cannot be written: \[Errno 13\]"):
        check_writable(resolve(str(unprivileged / "out.csv")))


def test_a_read_only_filesystem_is_refused(mounted: Callable[[str], Path]) -> None:
    with pytest.raises(OleriaInputError, match=r"out.csv' cannot be written: \[Errno 30\]"):
        check_writable(resolve(str(mounted("ro") / "out.csv")))


def test_a_full_disk_may_have_space_later(mounted: Callable[[str], Path]) -> None:
    folder = mounted("size=256k")
    (folder / "out.csv").write_bytes(b"previous")
    destination = resolve(str(folder / "out.csv"))
    with (
        pytest.raises(OleriaDestinationError, match=r"out.csv' cannot be written: \[Errno 28\]"),
        publish(destination, 0) as file,
    ):
        for _ in range(10):
            file.write(bytes(100_000))
    assert [path.name for path in folder.iterdir()] == ["out.csv"]

    (folder / "others").write_bytes(bytes(248 * 1024))
    with pytest.raises(OleriaDestinationError, match=r"\[Errno 28\]"):
        check_writable(destination)
    assert (folder / "out.csv").read_bytes() == b"previous"
