"""Saving to a store that this package knows nothing about: fsspec's in memory."""

from __future__ import annotations

from collections.abc import Callable

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_oleria.downloads import DataContext, SaveOptions
from airflow_provider_oleria.exceptions import OleriaDestinationError, OleriaInputError, OleriaTransientError
from airflow_provider_oleria.hooks.oleria import OleriaHook
from airflow_provider_oleria.sandbox import Fault, Sandbox
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from airflow_provider_oleria.transfer.destination.parts import part_name
from airflow_provider_oleria.transfer.pipeline import prepared
from tests.airflow_names import attach

PATH = "memory://lake/out.csv"


@pytest.fixture
def download_id(oleria_sandbox: Sandbox) -> str:
    oleria_sandbox.settings.export_seconds = 0
    created = OleriaHook().create_download(DataContext.ACCESS_INVENTORY_IDENTITIES)
    OleriaHook().wait_for_download(created.download_id, poll_interval=0.01)
    return created.download_id


def test_the_file_is_complete(
    oleria_sandbox: Sandbox, store: fsspec.AbstractFileSystem, download_id: str
) -> None:
    OleriaHook().save_download(download_id, PATH)

    assert store.cat(PATH) == oleria_sandbox.expected(download_id).path.read_bytes()
    assert store.find("memory://") == ["/lake/out.csv"]


@pytest.mark.parametrize("previous", [None, b"yesterday's\n1\n"])
def test_a_transfer_that_breaks_for_good_leaves_the_previous_file(
    oleria_sandbox: Sandbox, store: fsspec.AbstractFileSystem, download_id: str, previous: bytes | None
) -> None:
    if previous is not None:
        store.pipe(PATH, previous)
    oleria_sandbox.fail(Fault(kind="fetch", cut=10_000))
    oleria_sandbox.fail(Fault(kind="fetch", nth=2, times=None, drop=True))

    with pytest.raises(OleriaTransientError):
        OleriaHook().save_download(download_id, PATH)

    assert {path: store.cat(path) for path in store.find("memory://")} == (
        {} if previous is None else {"/lake/out.csv": previous}
    )


def test_what_a_killed_worker_left_behind_is_removed(
    oleria_sandbox: Sandbox, store: fsspec.AbstractFileSystem, download_id: str
) -> None:
    store.pipe("memory://lake/.out.csv.0123abcd.part", b"half")
    store.pipe("memory://lake/.other.csv.0123abcd.part", b"not ours")
    OleriaHook().save_download(download_id, PATH)

    assert store.find("memory://") == ["/lake/.other.csv.0123abcd.part", "/lake/out.csv"]


def test_a_folder_is_found_before_an_export_is_started(store: fsspec.AbstractFileSystem) -> None:
    store.pipe("memory://lake/out.csv/already.csv", b"")
    with pytest.raises(OleriaInputError, match="cannot be written: /lake/out.csv is a folder"):
        prepared(PATH, SaveOptions())


def test_looking_whether_it_can_be_written_leaves_nothing(store: fsspec.AbstractFileSystem) -> None:
    prepared(PATH, SaveOptions())

    assert store.find("memory://") == []


class Unreplacing(MemoryFileSystem):
    """Moves as WebHDFS does: onto an existing file not at all, and without an error."""

    def mv(self, path1: str, path2: str, **kwargs: object) -> None:
        if not self.exists(path2):
            super().mv(path1, path2)


class Refusing(MemoryFileSystem):
    """Moves as SMB does: an existing file is an error."""

    def mv(self, path1: str, path2: str, **kwargs: object) -> None:
        if self.exists(path2):
            raise FileExistsError(path2)
        super().mv(path1, path2)


Behave = Callable[[type[MemoryFileSystem]], None]


@pytest.fixture
def behave(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> Behave:
    """Has the store, of which all instances share their files, behave as another kind."""
    return lambda kind: monkeypatch.setattr(attach("memory"), "fs", kind(skip_instance_cache=True))


@pytest.mark.parametrize("kind", [Unreplacing, Refusing])
def test_a_store_that_cannot_replace_is_found_before_an_export_is_started(
    store: fsspec.AbstractFileSystem, behave: Behave, kind: type[MemoryFileSystem]
) -> None:
    behave(kind)
    path = resolve(PATH)
    check_writable(path)
    with publish(path, 0) as file:
        file.write(b"night 1")

    with pytest.raises(
        OleriaInputError,
        match="out.csv' cannot be written: the previous file was not replaced: this store does not move",
    ):
        check_writable(path)
    assert {path: store.cat(path) for path in store.find("")} == {"/lake/out.csv": b"night 1"}


@pytest.mark.parametrize("content", [b"night 2 is longer", b"night 2"], ids=["another size", "the same size"])
@pytest.mark.parametrize("kind", [Unreplacing, Refusing])
def test_a_move_that_did_not_replace_is_an_error(
    store: fsspec.AbstractFileSystem, behave: Behave, kind: type[MemoryFileSystem], content: bytes
) -> None:
    behave(kind)
    store.pipe(PATH, b"night 1")
    with (
        pytest.raises(OleriaInputError, match="cannot be written"),
        publish(resolve(PATH), 0) as file,
    ):
        file.write(content)

    assert {path: store.cat(path) for path in store.find("")} == {"/lake/out.csv": b"night 1"}


class Inert(MemoryFileSystem):
    """Moves nothing, and reports success."""

    def mv(self, path1: str, path2: str, **kwargs: object) -> None: ...


class Forbidding(MemoryFileSystem):
    """Neither moves nor copies: a drop box."""

    def mv(self, path1: str, path2: str, **kwargs: object) -> None:
        raise PermissionError("renaming is not permitted")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (Inert, "this store reported that the file was moved, and it is not there"),
        (Forbidding, "renaming is not permitted"),
    ],
)
def test_a_store_that_cannot_move_is_found_before_the_first_export_is_started(
    store: fsspec.AbstractFileSystem, behave: Behave, kind: type[MemoryFileSystem], cause: str
) -> None:
    behave(kind)
    with pytest.raises(OleriaInputError, match=cause):
        check_writable(resolve(PATH))

    assert store.find("") == []


@pytest.mark.parametrize("problem", [TimeoutError("no response in time"), FileExistsError(17, "exists")])
@pytest.mark.parametrize("previous", [b"night 1", b"night 1 is longer"])
def test_a_file_that_was_moved_is_published_whatever_the_store_reports(
    store: fsspec.AbstractFileSystem,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
    *,
    problem: Exception,
    previous: bytes,
) -> None:
    class Losing(MemoryFileSystem):
        def mv(self, path1: str, path2: str, **kwargs: object) -> None:
            super().mv(path1, path2)
            raise problem

    behave(Losing)
    store.pipe(PATH, previous)
    path = resolve(PATH)
    check_writable(path)
    with publish(path, 0) as file:
        file.write(b"night 2")

    assert {path: store.cat(path) for path in store.find("")} == {"/lake/out.csv": b"night 2"}
    assert f"/lake/out.csv is written, although the store reported an error: {problem}" in caplog.text


def assert_fails_and_keeps_the_previous_file(store: fsspec.AbstractFileSystem, match: str) -> None:
    store.pipe(PATH, b"night 1")
    with pytest.raises(OleriaDestinationError, match=match), publish(resolve(PATH), 0) as file:
        file.write(b"night 2")

    assert {path: store.cat(path) for path in store.find("")} == {"/lake/out.csv": b"night 1"}


def test_a_move_that_failed_is_an_error_even_if_the_previous_file_has_the_same_size(
    store: fsspec.AbstractFileSystem, behave: Behave
) -> None:
    class Failing(MemoryFileSystem):
        def mv(self, path1: str, path2: str, **kwargs: object) -> None:
            raise TimeoutError("no response in time")

    behave(Failing)
    assert_fails_and_keeps_the_previous_file(store, "no response in time")


@pytest.mark.parametrize("problem", [PermissionError("stat is not permitted"), ConnectionResetError("reset")])
def test_a_file_that_cannot_be_looked_at_after_its_move_is_published(
    store: fsspec.AbstractFileSystem, behave: Behave, caplog: pytest.LogCaptureFixture, problem: Exception
) -> None:
    class Hiding(MemoryFileSystem):
        is_moved = False

        def mv(self, path1: str, path2: str, **kwargs: object) -> None:
            super().mv(path1, path2)
            self.is_moved = True

        def info(self, path: str, **kwargs: object) -> object:
            if self.is_moved:
                raise problem
            return super().info(path)

    behave(Hiding)
    with publish(resolve(PATH), 0) as file:
        file.write(b"new")

    assert store.cat(PATH) == b"new"
    assert "/lake/out.csv is written. It could not be looked at to check that" in caplog.text


def test_a_file_that_the_store_has_not_kept_whole_does_not_replace_the_previous_one(
    store: fsspec.AbstractFileSystem, behave: Behave
) -> None:
    class Forgetting(MemoryFileSystem):
        def info(self, path: str, **kwargs: object) -> object:
            return {**super().info(path), "size": 2} if path.endswith(".part") else super().info(path)

    behave(Forgetting)
    assert_fails_and_keeps_the_previous_file(store, "the store has kept 2 of 7 bytes of the new file")


def test_a_copied_file_is_published_even_if_the_temporary_one_cannot_be_removed(
    store: fsspec.AbstractFileSystem, behave: Behave, caplog: pytest.LogCaptureFixture
) -> None:
    class Keeping(MemoryFileSystem):
        def rm_file(self, path: str) -> None:
            raise PermissionError("delete is not permitted")

    behave(Keeping)
    with publish(resolve(PATH), 0) as file:
        file.write(b"new")

    assert store.cat(PATH) == b"new"
    assert "could not be removed: delete is not permitted" in caplog.text


@pytest.mark.parametrize("kind", [Refusing, MemoryFileSystem], ids=["moved", "copied"])
def test_two_tasks_that_write_the_same_file_at_once(
    store: fsspec.AbstractFileSystem, behave: Behave, kind: type[MemoryFileSystem]
) -> None:
    behave(kind)
    path = resolve(PATH)
    with (
        pytest.raises(OleriaDestinationError, match="another task wrote the same file at the same time"),
        publish(path, 0) as file,
    ):
        file.write(b"of one task")
        with publish(path, 0) as other:
            other.write(b"of the other")

    assert {path: store.cat(path) for path in store.find("")} == {"/lake/out.csv": b"of the other"}


def test_a_folder_of_another_filesystem(
    store: fsspec.AbstractFileSystem,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attach("memory"), "fs", DirFileSystem("/root", MemoryFileSystem()))
    path = resolve("memory://lake/[a]*.csv")
    for content in (b"night 1", b"night 2"):
        check_writable(path)
        with publish(path, 0) as file:
            file.write(content)

    assert [file.getvalue() for file in store.store.values()] == [b"night 2"]
    assert "has no rename" in caplog.text


def test_leftovers_are_removed_where_a_listing_has_no_folders(behave: Behave) -> None:
    class Ftp(MemoryFileSystem):
        def ls(self, path: str, detail: bool = True, **kwargs: object) -> object:
            found = super().ls(path, detail=detail)
            return found if detail else [name.rpartition("/")[2] for name in found]

    behave(Ftp)
    MemoryFileSystem().pipe(f"/lake/{part_name('out.csv')}", b"half")
    with publish(resolve(PATH), 0) as file:
        file.write(b"new")

    assert MemoryFileSystem().find("") == ["/lake/out.csv"]


@pytest.mark.parametrize("name", ["x.csv", "[x]*.csv", "x" * 250])
@pytest.mark.parametrize("folder", ["lake", "lake/[a-z]*"])
def test_only_its_own_leftovers_are_removed(store: fsspec.AbstractFileSystem, name: str, folder: str) -> None:
    others = [f".{name}.gz.0123abcd.part", f".{name}.backup.part", ".y.csv.0123abcd.part"]
    for other in others:
        store.pipe(f"/{folder}/{other}", b"of another task")
    store.pipe("/lake/a/.x.csv.0123abcd.part", b"in another folder")
    store.pipe(f"/{folder}/{part_name(name)}", b"half")
    with publish(resolve(f"memory://{folder}/{name}"), 0) as file:
        file.write(b"new")

    left = {f"/{folder}/{found}" for found in [*others, name]}
    assert set(store.find("")) == left | {"/lake/a/.x.csv.0123abcd.part"}


def test_a_probe_that_cannot_be_removed_is_a_warning(
    behave: Behave, caplog: pytest.LogCaptureFixture
) -> None:
    class Keeping(MemoryFileSystem):
        def rm_file(self, path: str) -> None:
            raise PermissionError("delete is not permitted")

    behave(Keeping)
    check_writable(resolve(PATH))

    assert "could not be removed: delete is not permitted" in caplog.text


def test_a_store_without_a_rename_is_named_in_a_warning(
    store: fsspec.AbstractFileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    path = resolve(PATH)
    check_writable(path)

    assert f"The store of {path} has no rename: readers may see a part of the file" in caplog.text
    assert caplog.text.count("has no rename") == 1


def test_the_error_of_any_client_names_destination_and_cause(behave: Behave) -> None:
    class ClientError(Exception):
        """No OSError: as azure.core, gcsfs and asyncssh have them."""

        code = 403

    class Foreign(MemoryFileSystem):
        def open(self, path: str, *args: object, **kwargs: object) -> object:
            raise ClientError("the key was refused")

    behave(Foreign)
    path = resolve(PATH)
    for attempt in (lambda: check_writable(path), lambda: publish(path, 0).__enter__()):
        with pytest.raises(
            OleriaInputError, match="lake/out.csv' cannot be written: ClientError: the key was refused"
        ):
            attempt()


def test_a_folder_that_cannot_be_listed_is_written(behave: Behave) -> None:
    class Unlistable(MemoryFileSystem):
        def ls(self, path: str, *args: object, **kwargs: object) -> object:
            raise PermissionError("list is not permitted")

    behave(Unlistable)
    with publish(resolve(PATH), 0) as file:
        file.write(b"new")

    assert MemoryFileSystem().cat("/lake/out.csv") == b"new"


def test_a_file_that_cannot_be_closed_is_removed_and_the_first_error_is_reported(
    store: fsspec.AbstractFileSystem, behave: Behave
) -> None:
    class Broken(MemoryFileSystem):
        def open(self, *args: object, **kwargs: object) -> object:
            file = super().open(*args, **kwargs)
            file.close = lambda: raise_(ConnectionResetError("the connection is broken"))
            return file

    behave(Broken)
    with pytest.raises(OSError, match="of the caller"), publish(resolve(PATH), 0):
        raise OSError("of the caller")

    assert store.find("") == []


def raise_(problem: Exception) -> None:
    raise problem


def test_an_error_in_the_block_is_not_called_one_of_the_store(store: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(OSError, match="of the caller"), publish(resolve(PATH), 0):
        raise OSError("of the caller")
    assert store.find("") == []
