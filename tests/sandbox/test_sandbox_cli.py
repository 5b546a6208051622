"""``python -m airflow_provider_oleria.sandbox`` as a process of its own, and the pytest plugin."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from airflow.models.connection import Connection

from airflow_provider_oleria.sandbox import Sandbox

COMMAND = [sys.executable, "-m", "airflow_provider_oleria.sandbox"]


@pytest.fixture
def served() -> Iterator[subprocess.Popen[str]]:
    options = ["--port", "0", "--rows", "5", "--export-seconds", "0", "--client-secret", "it's $HOME"]
    with subprocess.Popen(
        COMMAND + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.terminate()


def _exported(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return next(line for line in process.stdout if line.startswith("export "))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_what_it_prints_until_a_signal(
    served: subprocess.Popen[str], number: signal.Signals
) -> None:
    (assignment,) = shlex.split(_exported(served).removeprefix("export "))
    name, _, value = assignment.partition("=")
    connection = json.loads(value)
    assert name == "AIRFLOW_CONN_OLERIA_DEFAULT"
    assert connection["extra"]["client_secret"] == "it's $HOME"
    assert requests.patch(f"{connection['host']}/_sandbox/settings", json={}, timeout=5).json()["rows"] == 5
    served.send_signal(number)
    _, complaints = served.communicate(timeout=10)
    assert (served.returncode, complaints) == (0, "")


def test_airflow_understands_the_connection(
    served: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (assignment,) = shlex.split(_exported(served).removeprefix("export "))
    read = Connection.from_json(assignment.partition("=")[2])
    assert (read.conn_type, read.extra_dejson["client_secret"]) == ("oleria", "it's $HOME")
    assert read.host.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr == f"error: port {port} on 127.0.0.1 is taken; --port 0 takes any free one\n"


def test_a_wrong_knob_is_named() -> None:
    done = subprocess.run([*COMMAND, "--rows", "-1"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (2, "error: setting rows does not take -1\n")


def test_it_departs_from_the_contract_as_asked() -> None:
    options = ["--port", "0", "--no-ranges", "--departures", "same-url", "forgets"]
    with subprocess.Popen(COMMAND + options, stdout=subprocess.PIPE, text=True) as process:
        (assignment,) = shlex.split(_exported(process).removeprefix("export "))
        api_url = json.loads(assignment.partition("=")[2])["host"]
        settings = requests.patch(f"{api_url}/_sandbox/settings", json={}, timeout=5).json()
        process.terminate()
    assert (settings["departures"], settings["ranges"]) == (["same-url", "forgets"], False)


def test_the_fixture_sets_the_default_connection(oleria_sandbox: Sandbox) -> None:
    assert json.loads(os.environ["AIRFLOW_CONN_OLERIA_DEFAULT"])["host"] == oleria_sandbox.api_url
    assert requests.get(f"{oleria_sandbox.api_url}/_sandbox/calls", timeout=5).json() == []


def test_it_imports_neither_airflow_nor_the_rest_of_the_package() -> None:
    code = """
import sys, airflow_provider_oleria.sandbox.__main__
ours = {name for name in sys.modules if name.startswith("airflow_provider_oleria.")}
assert {name for name in ours if not name.startswith("airflow_provider_oleria.sandbox")} == set(), ours
assert "airflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
