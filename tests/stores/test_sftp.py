"""What only SFTP has: the server's extensions, and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from tests.servers.processes import until
from tests.servers.sftp import Sshd
from tests.servers.stores import Store, connection

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("kind", ["read_only", "without_rename"])
def test_a_server_that_cannot_replace_a_file_is_refused(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "out.csv").write_bytes(b"previous")
    path = resolve(f"sftp://{sshd.conn_id(monkeypatch, getattr(sshd, kind))}@server{tmp_path}/out.csv")
    with pytest.raises(
        OleriaInputError, match="this server cannot replace a file atomically: it is read-only"
    ):
        check_writable(path)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"out.csv": b"previous"}


@pytest.mark.parametrize("scheme", ["sftp", "ssh"])
def test_a_key_in_the_connection_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    conn_id = connection(monkeypatch, conn_type="sftp", host="127.0.0.1", extra={"private_key": KEY})
    with pytest.raises(OleriaInputError, match="Write the key to a file, and set 'key_file'") as raised:
        resolve(f"{scheme}://{conn_id}@server/out.csv")

    assert "bm90IGEga2V5" not in str(raised.value) + repr(raised.value.__cause__) + caplog.text


def test_a_missing_folder_is_created(sftp: Store) -> None:
    path = resolve(f"{sftp.url}/a/b/out.csv")
    check_writable(path)
    with publish(path, 0) as file:
        file.write(b"new")

    assert sftp.files() == {"a/b/out.csv": b"new"}


def test_a_name_that_is_too_long_fails_at_once(sftp: Store) -> None:
    with pytest.raises(OleriaInputError, match="cannot be written: SFTPBadMessage"):
        check_writable(resolve(f"{sftp.url}/{'x' * 256}"))


def test_a_connection_that_was_lost_while_the_export_was_prepared_is_opened_again(
    sftp: Store, sshd: Sshd
) -> None:
    check_writable(resolve(f"{sftp.url}/out.csv"))
    lost = resolve(f"{sftp.url}/out.csv").fs.client
    sshd.disconnect()
    until(lost.is_closed, "the client has noticed")
    with publish(resolve(f"{sftp.url}/out.csv"), 0) as file:
        file.write(b"new")

    assert sftp.files() == {"out.csv": b"new"}
    assert sftp.leftovers() == []
