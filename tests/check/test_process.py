"""The check as people run it: a process of its own, with a Connection from Airflow's database."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airflow_provider_oleria.check.assumptions import ASSUMPTIONS
from airflow_provider_oleria.sandbox import Sandbox
from tests.leaks import assert_no_secret, cells_of


# Two Airflow processes start here, one of them to migrate the database: minutes on a busy machine.
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("airflow_db")
def test_outside_of_any_task(oleria_sandbox: Sandbox) -> None:
    connection = os.environ.pop("AIRFLOW_CONN_OLERIA_DEFAULT")
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection.from_json(connection, "oleria_checked"))
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_oleria.check", "oleria_checked"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    asked = sum(not item.alarming for item in ASSUMPTIONS)
    assert f"{asked} of {asked} assumptions hold" in done.stdout
    # At DEBUG, as conftest.py has it.
    assert_no_secret(oleria_sandbox, done.stdout + done.stderr, nor=cells_of(oleria_sandbox))
