"""What only SFTP has: the server's extensions, and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_oleria.exceptions import OleriaInputError
from airflow_provider_oleria.transfer.destination import check_writable, publish, resolve
from tests.servers.sftp import serving, sftp_connection

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n"


def test_a_server_that_cannot_replace_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sshfs", reason="sshfs is needed: make test-stores")
    (tmp_path / "out.csv").write_bytes(b"previous")
    with serving(tmp_path, renames=False) as port:
        path = resolve(f"sftp://{sftp_connection(monkeypatch, port)}@server/out.csv")
        with pytest.raises(OleriaInputError, match="this server cannot replace a file atomically"):
            check_writable(path)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"out.csv": b"previous"}


@pytest.mark.parametrize("scheme", ["sftp", "ssh"])
def test_a_key_in_the_connection_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    conn_id = sftp_connection(monkeypatch, 1, extra={"private_key": KEY})
    with pytest.raises(OleriaInputError, match="Write the key to a file, and set 'key_file'") as raised:
        resolve(f"{scheme}://{conn_id}@server/out.csv")

    assert "bm90IGEga2V5" not in str(raised.value) + repr(raised.value.__cause__) + caplog.text


def test_a_missing_folder_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sshfs", reason="sshfs is needed: make test-stores")
    with serving(tmp_path) as port:
        path = resolve(f"sftp://{sftp_connection(monkeypatch, port)}@server/a/b/out.csv")
        check_writable(path)
        with publish(path, 0) as file:
            file.write(b"new")

    assert (tmp_path / "a" / "b" / "out.csv").read_bytes() == b"new"
