"""``airflow connections test`` and the Test button's endpoint, in real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from airflow.models.connection import Connection

from airflow_provider_oleria.operators.oleria import OleriaDownloadOperator
from airflow_provider_oleria.sandbox import Sandbox
from tests.airflow_names import AIRFLOW_V_3_0_PLUS

from .conftest import RunDag, new_dag

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


def test_a_connection_uri_means_the_same_on_the_command_line_and_in_a_task(
    run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    with Sandbox(client_secret="12345678") as sandbox:
        extra = json.loads(sandbox.connection_json())["extra"] | {"timeout": "3e1"}
        server = f"oleria://{urlsplit(sandbox.api_url).netloc}/http"
        digits, exponent = (
            f"{server}?{urlencode(extra | {'client_secret': text})}" for text in ("12345678", "1e3")
        )

        monkeypatch.setenv("AIRFLOW_CONN_OLERIA_DEFAULT", digits)
        with new_dag("connection_uri") as dag:
            OleriaDownloadOperator(task_id="create", data_context="risks", wait_for_completion=False)
        assert run_dag(dag).states == {"create": "success"}

        output = run_airflow(
            f"connections add oleria_digits --conn-uri {digits}",
            f"connections add oleria_exponent --conn-uri {exponent}",
            "connections test oleria_digits",
            "connections test oleria_default",
            "connections test oleria_exponent",  # ends the process on Airflow 3
        )
    assert output.count("Connection success!") == 2
    if isinstance(
        Connection(uri=exponent).extra_dejson["client_secret"], float
    ):  # Airflow reads JSON: 3.1.6 does
        assert "extra 'client_secret' must be a string, not float" in output
        assert "set the Connection as JSON" in output
    else:  # text, as in a task
        assert "invalid_client" in output


def run_airflow(*commands: str) -> str:
    """The output of commands of ``airflow``, one after another in one process: its start takes long."""
    code = """
import sys
from airflow.cli.cli_parser import get_parser
for command in sys.argv[1:]:
    arguments = get_parser().parse_args(command.split(" "))
    arguments.func(arguments)
"""
    environment = os.environ | {"_AIRFLOW_PROCESS_CONTEXT": "server"}  # as the command `airflow` sets it
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], env=environment, check=False, capture_output=True, text=True
    )
    return " ".join((done.stdout + done.stderr).split())
