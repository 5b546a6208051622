"""What only SMB has: moves that do not replace, and files in use."""

from __future__ import annotations

from getpass import getuser

import pytest

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from tests.airflow_names import attach
from tests.servers.smb import PASSWORD, Samba
from tests.servers.stores import Store


@pytest.fixture
def unreplacing(smb: Store, samba: Samba, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of the same folder, with fsspec's own class, whose moves do not replace a file."""
    import smbclient
    from fsspec.implementations.smb import SMBFileSystem

    smbclient.ClientConfig(username=getuser(), password=PASSWORD)  # as smb has it for the process
    fs = SMBFileSystem("127.0.0.1", samba.port, getuser(), PASSWORD, register_session_retries=0)
    conn_id = samba.conn_id(monkeypatch)
    attach("smb", conn_id, fs=fs)
    return f"smb://{conn_id}@server/lake/{smb.url.rpartition('/')[2]}"


def test_a_file_that_would_have_to_be_replaced_is_found_before_an_export_is_started(
    smb: Store, unreplacing: str
) -> None:
    path = resolve(f"{unreplacing}/out.csv")
    check_writable(path)
    with publish(path, 0) as file:
        file.write(b"night 1")

    with pytest.raises(
        OleriaInputError,
        match="out.csv' cannot be written: the previous file was not replaced: this store does not move",
    ):
        check_writable(path)
    assert smb.files() == {"out.csv": b"night 1"}
    assert smb.leftovers() == []


def test_a_file_that_has_appeared_during_the_transfer_is_kept(smb: Store, unreplacing: str) -> None:
    with (
        pytest.raises(
            OleriaInputError,
            match="out.csv' cannot be written: the previous file was not replaced: this store does not move",
        ),
        publish(resolve(f"{unreplacing}/out.csv"), 0) as file,
    ):
        file.write(b"new")
        smb.put("out.csv", b"of another task")

    assert smb.files() == {"out.csv": b"of another task"}
    assert smb.leftovers() == []


def test_a_file_that_a_reader_has_open_is_not_replaced(smb: Store) -> None:
    smb.put("out.csv", b"previous")
    path = resolve(f"{smb.url}/out.csv")
    with (
        path.fs.open(path.path, "rb", share_access="r") as reader,
        pytest.raises(OleriaInputError, match="STATUS_ACCESS_DENIED"),
        publish(path, 0) as file,
    ):
        assert reader.read(4) == b"prev"
        file.write(b"new")

    assert smb.files() == {"out.csv": b"previous"}
    assert smb.leftovers() == []


def test_what_a_killed_worker_left_behind_is_removed(smb: Store) -> None:
    smb.put(".out.csv.0123abcd.part", b"half")
    smb.put(".other.csv.0123abcd.part", b"of another task")
    with publish(resolve(f"{smb.url}/out.csv"), 0) as file:
        file.write(b"new")

    assert smb.files() == {"out.csv": b"new"}
    assert smb.leftovers() == [".other.csv.0123abcd.part"]


def test_a_connection_that_was_lost_while_the_export_was_prepared_is_opened_again(smb: Store) -> None:
    import smbclient

    check_writable(resolve(f"{smb.url}/out.csv"))
    smbclient.reset_connection_cache()
    with publish(resolve(f"{smb.url}/out.csv"), 0) as file:
        file.write(b"new")

    assert smb.files() == {"out.csv": b"new"}
