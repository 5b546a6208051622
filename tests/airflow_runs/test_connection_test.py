"""``airflow connections test`` and the Test button's endpoint, in real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_names import AIRFLOW_V_3_0_PLUS

AIRFLOW = Path(sys.executable).with_name("airflow")


@pytest.mark.usefixtures("airflow_db")
def test_from_the_command_line(oleria_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    connection = os.environ.pop("AIRFLOW_CONN_OLERIA_DEFAULT")
    subprocess.run(
        [AIRFLOW, "connections", "add", "oleria_stored", "--conn-json", connection],
        check=True,
        capture_output=True,
    )
    test = [AIRFLOW, "connections", "test", "oleria_stored"]
    done = subprocess.run(test, check=True, capture_output=True, text=True)
    assert "Connection success!" in done.stdout

    secret = oleria_sandbox.client_secret
    oleria_sandbox.rotate_secret()
    done = subprocess.run(test, check=False, capture_output=True, text=True)
    assert "Connection failed!" in done.stdout  # Airflow 2.11 exits with 0 all the same
    assert "invalid_client: client_id or client_secret is wrong" in " ".join(done.stdout.split())
    assert secret not in done.stdout + done.stderr


@pytest.fixture
def press_test(
    airflow_db: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Any], dict[str, Any]]]:
    """What the button asks for, from an admin."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    if AIRFLOW_V_3_0_PLUS:
        from airflow.api_fastapi.app import create_app
        from fastapi.testclient import TestClient

        monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
        with TestClient(create_app(apps="core")) as server:
            server.headers["Authorization"] = f"Bearer {server.get('/auth/token').json()['access_token']}"
            yield lambda form: server.post("/api/v2/connections/test", json=form).json()
    else:
        from airflow.www.app import create_app

        app = create_app(testing=True)
        app.config["AUTH_ROLE_PUBLIC"] = "Admin"
        with app.test_client() as server:
            yield lambda form: server.post("/api/v1/connections/test", json=form).json


def test_from_the_form_before_it_is_saved(
    oleria_sandbox: Sandbox, press_test: Callable[[Any], dict[str, Any]]
) -> None:
    fields = json.loads(os.environ.pop("AIRFLOW_CONN_OLERIA_DEFAULT"))
    form = {"connection_id": "oleria_new"} | fields | {"extra": json.dumps(fields["extra"])}
    assert press_test(form) == {"status": True, "message": "A token was issued, and the API accepts it."}

    oleria_sandbox.rotate_secret()
    answer = press_test(form)
    assert answer["status"] is False
    assert "invalid_client: client_id or client_secret is wrong" in answer["message"]

    # Airflow tests the form under a random id, which means nothing to a user.
    answer = press_test(form | {"extra": "{}"})
    assert answer["status"] is False
    assert answer["message"].startswith("The Connection cannot be used: extra 'auth_url'")
